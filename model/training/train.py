"""A training from its data to the stored network: selection on held-out classes, then a training on all of them.

If the training is killed, the next call with the same `work` folder resumes after the last stored step and gives the same
result. The same call in several processes is one training: see `model.training.distributed`.
"""

import copy
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor

from model.config import SEVERAL_FOLDS, ModelConfig, TrainConfig
from model.data.manifest import read_manifest
from model.errors import Terminated
from model.files import atomic_folder, sha256_json, write_json
from model.locks import hold
from model.networks.stored import NetworkSpec, save_network
from model.progress import Progress
from model.retrieval.cohort import COHORT, Cohort
from model.schemas.reranking import Reranking
from model.schemas.train_report import TrainReport, trunk_choice
from model.training.candidates import candidates
from model.training.checkpoint import Counters
from model.training.distributed import any_process, make_fabric
from model.training.epochs import RESUMES, train_epoch
from model.training.fold_trials import FoldTrial
from model.training.folds import Fold, class_folds
from model.training.initialisation import finish_init, init_heads, project_once
from model.training.learner import Learner, make_learner
from model.training.reporting import report_of
from model.training.reranking import choose_reranking, has_local_features
from model.training.selection import Choice, select
from model.training.session import Say, Session
from model.training.stopping import sigterm_flag
from model.training.training_data import TrainingData, open_data
from model.training.validation import embed_rows

HELD_OUT = "held_out.safetensors"
"""File of embeddings of held-out images, by networks that were not trained on their classes, and of their offsets."""
_SAME_RESULT = {"device", "workers", "processes", "nodes", "chunk", "compile", "checkpoint_every", "rerank"}
"""Settings that do not change the result of a training, or its rounding alone: a checkpoint made under others is resumed."""

_LOG = logging.getLogger(__name__)


def train(
    dataset: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    data_md5: str,
    work: Path,
    out: Path,
    progress: Progress | None = None,
    choice: Choice | None = None,
) -> TrainReport:
    """Train a network on a data set's training and validation classes.

    Args:
        dataset: A folder with a manifest.
        model: Settings of the network.
        config: Settings of the training.
        data_md5: Hash of the data; with the settings it names the checkpoint to resume.
        work: Folder of checkpoints, cached maps and images, kept between calls. Calls with the same folder take turns.
        out: Receives `weights.safetensors`, `config.json`, `training.json`, `held_out.safetensors` and `cohort.safetensors`,
            whole or not at all.
        progress: Called for every cached batch and with every sentence of the log, in the first process only.
        choice: What another training on these data chose; None to select.

    Raises:
        InvalidInput: There are fewer than two training classes, or a setting names something unknown.
        Diverged: The loss is no longer finite, with all candidates or with the one that was chosen.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    manifest = read_manifest(dataset)
    fabric, asked = make_fabric(config), config.trunk
    config = config.decided(fabric.device.type)
    settings = [model.model_dump(), config.model_dump(exclude=_SAME_RESULT), asdict(choice) if choice else None]
    key = sha256_json([data_md5, *settings])
    shown = progress if fabric.is_global_zero else None
    say = _speaker(progress) if fabric.is_global_zero else _silent
    say(trunk_choice(asked, config.trunk))
    with _exclusive(fabric, work / "training" / key[:16]) as folder, sigterm_flag() as received:
        torch.manual_seed(config.seed)
        with fabric.rank_zero_first():  # the other processes find the maps in the cache
            data = open_data(manifest, model, config, data_md5=data_md5, work=work, progress=shown, fabric=fabric)
        session = Session(data, fabric, folder, key, say, lambda: any_process(fabric, received()))
        folds = [] if choice else _folds(data)
        trial = None
        if folds:
            choice, trial = select(session, folds)
        if trial and len(folds) == 1:
            learner, counters = trial.learners[0], trial.counters[0]
        else:
            learner, counters = _train_on_all(session, choice or _init_alone(data))
        held_out = _held_out(trial)  # by all processes together
        report = report_of(learner, trial, counters, trunk_asked=asked, reranking=_reranking(session, trial, held_out))
        for sentence in report.summary:
            say(sentence)
        cohort = _cohort(learner)  # by all processes together
        if fabric.is_global_zero:
            _store(learner, model, report, held_out, cohort, out)
    return report


def _speaker(progress: Progress | None) -> Say:
    """Writes a sentence to the log, and to `progress` where there is one."""

    def say(text: str) -> None:
        _LOG.info("%s", text)
        if progress:
            progress(0, 0, text)

    return say


def _silent(_: str) -> None:
    pass


def _folds(data: TrainingData) -> list[Fold]:
    """The folds as `train.folds` asks; by default several where the validation classes do not suffice for the only one."""
    manifest, config = data.manifest, data.config
    found = class_folds(manifest, config.fold_count, config.seed)
    return found or (class_folds(manifest, SEVERAL_FOLDS, config.seed) if not config.folds else [])


def _init_alone(data: TrainingData) -> Choice:
    """The choice where no classes can be held out: the init of the first candidate, without epochs."""
    return Choice(candidates(data)[0], 0, data.method.architecture.weights)


def _train_on_all(session: Session, choice: Choice) -> tuple[Learner, Counters]:
    """Train on all training and validation classes, with what was chosen."""
    everything = Fold(session.data.manifest.rows("train", "val"), np.empty(0, dtype=np.int64))
    learner = make_learner(session.data, everything, choice.candidate, session.fabric)
    last = session.checkpoint(learner, "all", "last")
    counters = last.load()
    if counters is None:
        session.say(f"all {learner.classes} classes: init")
        init_heads(learner, session.inits)
        project_once(learner)
        finish_init(learner, choice.weights)
        counters = Counters()
        last.share(counters)
    else:
        project_once(learner)
    while counters.epoch < choice.epochs:
        began = time.monotonic()
        loss = train_epoch(learner, counters, last.save, session.stopping)
        counters = counters.finished(loss, time.monotonic() - began)
        last.save(counters)
        session.say(f"all {learner.classes} classes, epoch {counters.epoch} of {choice.epochs}: loss {loss:.3f}")
        if session.stopping():
            raise Terminated(f"Stopped after epoch {counters.epoch}.", RESUMES)
    return learner, counters


def _cohort(learner: Learner) -> Cohort:
    """The classes that a network was trained on, as it embeds them."""
    rows = learner.fold.train
    vectors = embed_rows(learner, learner.evaluated, rows).merged.float().cpu().numpy()
    return Cohort.of(vectors, learner.manifest.labels[rows])


def _held_out(trial: FoldTrial | None) -> dict[str, Tensor]:
    """The embeddings of the held-out images of all folds, by networks that did not see their classes, and their offsets."""
    parts: dict[str, list[Tensor]] = {"vectors": [], "labels": [], "folds": [], "offsets": []}
    for number, learner in enumerate(trial.learners if trial else ()):
        rows = learner.fold.held_out
        vectors = embed_rows(learner, learner.evaluated, rows).merged.float().cpu()
        parts["vectors"].append(vectors)
        parts["offsets"].append(torch.from_numpy(_cohort(learner).offsets(vectors.numpy())))
        parts["labels"].append(torch.from_numpy(learner.manifest.labels[rows]))
        parts["folds"].append(torch.full((len(rows),), number))
    return {name: torch.cat(some) if some else torch.empty(0) for name, some in parts.items()}


def _reranking(session: Session, trial: FoldTrial | None, held_out: dict[str, Tensor]) -> Reranking | None:
    """The choice of re-ranking, which the first process makes for all."""
    chosen = None
    if trial and session.fabric.is_global_zero:
        if has_local_features(trial.learners[0]) and session.data.config.rerank != "never":
            session.say("re-ranking by local features is compared with the global search on held-out images")
        vectors = [held_out["vectors"][held_out["folds"] == number].numpy() for number in range(len(trial.learners))]
        chosen = choose_reranking(session.data, trial.learners, vectors)
    shared: Reranking | None = session.fabric.broadcast(chosen)
    return shared


def _store(
    learner: Learner, model: ModelConfig, report: TrainReport, held_out: dict[str, Tensor], cohort: Cohort, out: Path
) -> None:
    network = copy.deepcopy(learner.evaluated)
    network.heads.fold_residuals()
    spec = NetworkSpec(model.method, model.trunk, model.image_size, network.heads.architecture)
    with atomic_folder(out) as folder:
        save_network(network, spec, folder)
        save_file(held_out, folder / HELD_OUT)
        cohort.save(folder / COHORT)
        write_json(folder / "training.json", report.model_dump(mode="json"))


@contextmanager
def _exclusive(fabric: Fabric, folder: Path) -> Iterator[Path]:
    """Wait until no other training uses this folder. The first of several processes waits for all of them."""
    if fabric.is_global_zero:
        with hold(folder / "lock"):
            yield folder
            fabric.barrier()
    else:
        yield folder
        fabric.barrier()

"""The training loop: hybrid loss, batches of m images per class, and the best epoch by validation MAP@R.

If the training is killed, the next call with the same `work` folder resumes after the last stored step and gives the same
result. The same call in several processes is one training: see `model.training.distributed`.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from model.config import ModelConfig, TrainConfig
from model.data.manifest import read_manifest
from model.data.sampler import epoch_batches
from model.errors import GlocalError, InvalidInput, Terminated
from model.files import atomic_folder, sha256_json, write_json
from model.locks import hold
from model.networks.stored import NetworkSpec, save_network
from model.progress import Progress
from model.schemas.train_report import Epoch, TrainReport
from model.training.checkpoint import Counters, load_checkpoint, save_checkpoint
from model.training.distributed import any_process, make_fabric
from model.training.gradients import batch_gradients
from model.training.initialisation import init_heads
from model.training.learner import Learner, make_learner
from model.training.stopping import sigterm_flag
from model.training.validation import validate, validate_untrained

_SAME_RESULT = {"device", "workers", "chunk", "compile", "checkpoint_every"}
"""Settings that do not change the result of a training: a checkpoint made under other values of them is resumed."""

_RESUMES = "The same command goes on from there."

_LOG = logging.getLogger(__name__)

Save = Callable[[str, Counters], None]
"""Function that is called with a checkpoint's name and the progress of the training."""
Say = Callable[[str], None]
"""Function that is called with each sentence about the training's progress."""


def train(
    dataset: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    data_md5: str,
    work: Path,
    out: Path,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a network on a data set's training classes.

    Args:
        dataset: A folder with a manifest.
        model: Settings of the network.
        config: Settings of the training.
        data_md5: Hash of the data; with the settings it names the checkpoint to resume.
        work: Folder of checkpoints, cached maps and images, kept between calls. Calls with the same folder take turns.
        out: Receives `weights.safetensors`, `config.json` and `training.json`, whole or not at all.
        progress: Called for every cached batch and with every sentence of the log, in the first process only.

    Raises:
        InvalidInput: There are fewer than two training classes, or a setting names something unknown.
        GlocalError: The loss is no longer finite.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    manifest = read_manifest(dataset)
    key = sha256_json([data_md5, model.model_dump(), config.model_dump(exclude=_SAME_RESULT)])
    fabric = make_fabric(config)
    shown = progress if fabric.is_global_zero else None
    say = _speaker(progress) if fabric.is_global_zero else _silent
    with _exclusive(fabric, work / "training" / key[:16]) as folder:
        torch.manual_seed(config.seed)
        with fabric.rank_zero_first():  # the other processes find the maps in the cache
            learner = make_learner(manifest, model, config, data_md5=data_md5, work=work, progress=shown, fabric=fabric)
        report = _train(learner, _Checkpoints(learner, folder, key), say)
        if fabric.is_global_zero:
            _store(learner, model, report, out)
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


@dataclass(frozen=True)
class _Checkpoints:
    """The checkpoints `last` and `best` of one training."""

    learner: Learner
    folder: Path
    key: str

    def load(self, name: str) -> Counters | None:
        return load_checkpoint(self.folder / f"{name}.safetensors", self.learner.modules, self.learner.optimizer, self.key)

    def save(self, name: str, counters: Counters) -> None:
        if self.learner.fabric.is_global_zero:
            path = self.folder / f"{name}.safetensors"
            save_checkpoint(path, self.learner.modules, self.learner.optimizer, counters, self.key)
        self.learner.fabric.barrier()  # no process goes on before the checkpoint is on disk


def _train(learner: Learner, checkpoints: _Checkpoints, say: Say) -> TrainReport:
    """Train from the last checkpoint or from the init; the learner then holds the best epoch's weights."""
    counters = checkpoints.load("last") or _init(learner, checkpoints, say)
    with sigterm_flag() as received:
        counters = _run(learner, counters, checkpoints.save, lambda: any_process(learner.fabric, received()), say)
    checkpoints.load("best")
    report = TrainReport(
        init=learner.init,
        epochs_planned=learner.config.epochs,
        best_epoch=counters.best_epoch,
        untrained_map_at_r=counters.untrained,
        validation_classes=learner.validation_classes,
        validation_images=len(learner.val_rows),
        history=counters.history,
    )
    for sentence in report.summary:
        say(sentence)
    return report


def _store(learner: Learner, model: ModelConfig, report: TrainReport, out: Path) -> None:
    spec = NetworkSpec(model.method, model.trunk, model.image_size, learner.network.heads.architecture)
    with atomic_folder(out) as folder:
        save_network(learner.evaluated, folder / "weights.safetensors")
        write_json(folder / "config.json", spec.to_json())
        write_json(folder / "training.json", report.model_dump(mode="json"))


def _init(learner: Learner, checkpoints: _Checkpoints, say: Say) -> Counters:
    """Initialise the heads and store them as epoch 0, the first candidate for the best epoch."""
    untrained = validate_untrained(learner)
    init_heads(learner)
    figure = validate(learner)
    counters = Counters(best=figure, history=(Epoch(epoch=0, map_at_r=figure),), untrained=untrained)
    say(f"{learner.init} init: validation MAP@R {figure:.4f}, untrained trunk {untrained:.4f}")
    checkpoints.save("best", counters)
    checkpoints.save("last", counters)
    checkpoints.load("last")  # all processes start from exactly the same values, also on different machines
    return counters


def _run(learner: Learner, counters: Counters, save: Save, stopping: Callable[[], bool], say: Say) -> Counters:
    """Train epochs until the last one, or until patience runs out."""
    config = learner.config
    while counters.epoch < config.epochs and counters.epoch - counters.best_epoch < config.patience:
        began = time.monotonic()
        loss = train_epoch(learner, counters, save, stopping)
        figure, epoch = validate(learner), counters.epoch + 1
        entry = Epoch(epoch=epoch, loss=loss, map_at_r=figure, seconds=round(time.monotonic() - began, 3))
        counters = replace(counters, epoch=epoch, step=0, loss=0.0, history=(*counters.history, entry))
        if figure > counters.best:
            counters = replace(counters, best=figure, best_epoch=epoch)
            save("best", counters)
        save("last", counters)
        say(f"epoch {epoch} of {config.epochs}: loss {loss:.3f}, validation MAP@R {figure:.4f}")
        if stopping():
            raise Terminated(f"Stopped after epoch {epoch}.", _RESUMES)
    return counters


def train_epoch(learner: Learner, counters: Counters, save: Save, stopping: Callable[[], bool]) -> float:
    """Train one epoch from the step that the counters name; returns the mean loss.

    Raises:
        GlocalError: The loss is no longer finite.
        Terminated: SIGTERM arrived; a checkpoint holds the progress.
    """
    config, epoch, device = learner.config, counters.epoch, learner.fabric.device
    batches = epoch_batches(
        learner.labels,
        classes_per_batch=config.classes_per_batch,
        images_per_class=config.images_per_class,
        seed=config.seed,
        epoch=epoch,
    )
    if batches.shape[1] < learner.fabric.world_size:
        raise InvalidInput("There are more processes than images in a batch.", "Use fewer, or raise train.classes_per_batch.")
    learner.mode.set_training()
    total = torch.tensor(counters.loss, dtype=torch.float64, device=device)  # read seldom, because reading waits for the GPU
    for step, inputs in enumerate(learner.augmented_batches(batches, epoch, counters.step), start=counters.step):
        _set_rates(learner.optimizer, config, epoch * len(batches) + step, len(batches))
        labels = torch.from_numpy(learner.labels[batches[step]]).to(device)
        total += batch_gradients(learner.fabric, learner.network, learner.embed, learner.loss, inputs, labels, config.chunk)
        nn.utils.clip_grad_value_(learner.network.parameters(), config.clip)
        learner.optimizer.step()
        learner.average()
        stopped = stopping()
        if stopped or (step + 1) % config.checkpoint_every == 0:
            save("last", replace(counters, step=step + 1, loss=_finite(total, epoch)))
        if stopped:
            raise Terminated(f"Stopped after {step + 1} of {len(batches)} steps of epoch {epoch + 1}.", _RESUMES)
    return _finite(total, epoch) / len(batches)


def _finite(total: Tensor, epoch: int) -> float:
    """The sum of losses as a number. It is checked before every checkpoint, so that none holds a diverged network."""
    if not torch.isfinite(total):
        raise GlocalError(f"The loss is no longer finite in epoch {epoch + 1}.", "Lower train.learning_rate.")
    return total.item()


def _set_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int, steps_per_epoch: int) -> None:
    """Set the learning rates: a linear rise over the warm-up, in which the trunk's rate is 0, and half a cosine down to zero."""
    warmup, total = config.warmup_epochs * steps_per_epoch, max(1, config.epochs * steps_per_epoch)
    factor = min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / total))
    rates = {"trunk": config.trunk_learning_rate, "heads": config.learning_rate, "proxies": config.proxy_learning_rate}
    for group in optimizer.param_groups:
        frozen = group["role"] == "trunk" and step < warmup
        group["lr"] = 0.0 if frozen else rates[group["role"]] * factor


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

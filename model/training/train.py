"""The training loop: hybrid loss, batches of m per class, the best checkpoint by MAP@R on classes held out for it.

Killed at any point, the next call with the same `work` folder resumes after the last step on record and ends at the same figures.
The same call in several processes is one training: see `model.training.distributed`.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from model.training.checkpoint import Counters, load_checkpoint, save_checkpoint
from model.training.distributed import any_process, make_fabric
from model.training.gradients import batch_gradients
from model.training.learner import Learner, make_learner
from model.training.start import start
from model.training.stopping import sigterm_noted
from model.training.validation import validate

_SAME_RESULT = {"device", "workers", "chunk", "compile", "checkpoint_every"}
"""Settings that change how a training runs and not what comes out: a checkpoint made under others is resumed."""

_RESUMES = "The same command goes on from there."

Save = Callable[[str, Counters], None]
"""Called with a checkpoint's name and where the training stands."""


@dataclass(frozen=True)
class TrainReport:
    """How a training went: one entry of `history` an epoch, with `loss`, `map_at_r` on the validation classes and `seconds`."""

    epochs: int
    best_epoch: int
    validation_map_at_r: float
    history: tuple[dict[str, float], ...]


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
        model: The network.
        config: The training.
        data_md5: Names the data; with the settings it names the checkpoint to resume.
        work: Holds checkpoints, cached maps and images between calls; calls with the same work take turns.
        out: Receives `weights.safetensors`, `config.json` and `training.json`, whole or not at all.
        progress: Told of every batch that is cached and of every epoch, in the first process alone.

    Raises:
        InvalidInput: Fewer than two training classes, or a setting that names nothing.
        GlocalError: The loss is no longer finite.
        Terminated: SIGTERM came; the same call resumes.
    """
    manifest = read_manifest(dataset)
    key = sha256_json([data_md5, model.model_dump(), config.model_dump(exclude=_SAME_RESULT)])
    folder = work / "training" / key[:16]
    fabric = make_fabric(config)
    told = progress if fabric.is_global_zero else None
    with _alone(fabric, folder):
        torch.manual_seed(config.seed)
        with fabric.rank_zero_first():  # the others find the maps made
            learner = make_learner(manifest, model, config, data_md5=data_md5, work=work, progress=told, fabric=fabric)
        save, load = partial(_save, learner, folder, key), partial(_load, learner, folder, key)
        counters = load("last") or _begin(learner, save, load)
        with sigterm_noted() as asked:
            counters = _run(learner, counters, save, lambda: any_process(fabric, asked()), told)
        load("best")
        report = TrainReport(counters.epoch, counters.best_epoch, counters.best, counters.history)
        spec = NetworkSpec(model.method, model.trunk, model.image_size, learner.network.heads.architecture)
        if fabric.is_global_zero:
            with atomic_folder(out) as partial_out:
                save_network(learner.judged, partial_out / "weights.safetensors")
                write_json(partial_out / "config.json", spec.to_json())
                write_json(partial_out / "training.json", asdict(report))
    return report


def _load(learner: Learner, folder: Path, key: str, name: str) -> Counters | None:
    return load_checkpoint(folder / f"{name}.safetensors", learner.modules, learner.optimizer, key)


def _save(learner: Learner, folder: Path, key: str, name: str, counters: Counters) -> None:
    if learner.fabric.is_global_zero:
        save_checkpoint(folder / f"{name}.safetensors", learner.modules, learner.optimizer, counters, key)
    learner.fabric.barrier()  # nobody ends or goes on before it lies on disk


def _begin(learner: Learner, save: Save, load: Callable[[str], Counters | None]) -> Counters:
    """Start the heads and keep that as epoch 0: the first candidate for the best."""
    start(learner)
    figure = validate(learner)
    counters = Counters(best=figure, history=({"epoch": 0, "map_at_r": figure},))
    save("best", counters)
    save("last", counters)
    load("last")  # all processes start from the same bits, whatever machines they run on
    return counters


def _run(learner: Learner, counters: Counters, save: Save, stopping: Callable[[], bool], progress: Progress | None) -> Counters:
    """Epoch after epoch, until the last one or until patience is at its end."""
    config = learner.config
    while counters.epoch < config.epochs and counters.epoch - counters.best_epoch < config.patience:
        started = time.monotonic()
        loss = train_epoch(learner, counters, save, stopping)
        figure, epoch = validate(learner), counters.epoch + 1
        entry = {"epoch": epoch, "loss": loss, "map_at_r": figure, "seconds": round(time.monotonic() - started, 3)}
        counters = replace(counters, epoch=epoch, step=0, loss=0.0, history=(*counters.history, entry))
        if figure > counters.best:
            counters = replace(counters, best=figure, best_epoch=epoch)
            save("best", counters)
        save("last", counters)
        if progress:
            progress(epoch, config.epochs, f"epochs: loss {loss:.3f}, validation MAP@R {figure:.4f}")
        if stopping():
            raise Terminated(f"Stopped after epoch {epoch}.", _RESUMES)
    return counters


def train_epoch(learner: Learner, counters: Counters, save: Save, stopping: Callable[[], bool]) -> float:
    """One pass over the training images, from where the counters stand; returns the mean loss.

    Raises:
        GlocalError: The loss is no longer finite.
        Terminated: The training is to stop; a checkpoint says where.
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
    learner.regime.set_training()
    total = torch.tensor(counters.loss, dtype=torch.float64, device=device)  # read seldom: a GPU would be waited for
    for step, inputs in enumerate(learner.varied(batches, epoch, counters.step), start=counters.step):
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
    """The sum of losses; asked before every save, so that what is kept is sound."""
    if not torch.isfinite(total):
        raise GlocalError(f"The loss is no longer finite in epoch {epoch + 1}.", "Lower train.learning_rate.")
    return total.item()


def _set_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int, steps_per_epoch: int) -> None:
    """A linear rise over the warm-up, in which the trunk rests, then half a cosine down to nothing."""
    warmup, total = config.warmup_epochs * steps_per_epoch, max(1, config.epochs * steps_per_epoch)
    factor = min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / total))
    rates = {"trunk": config.trunk_learning_rate, "heads": config.learning_rate, "proxies": config.proxy_learning_rate}
    for group in optimizer.param_groups:
        resting = group["role"] == "trunk" and step < warmup
        group["lr"] = 0.0 if resting else rates[group["role"]] * factor


@contextmanager
def _alone(fabric: Fabric, folder: Path) -> Iterator[None]:
    """Wait until no other training is at work in this folder; of several processes the first one waits for all."""
    if fabric.is_global_zero:
        with hold(folder / "lock"):
            yield
            fabric.barrier()
    else:
        yield
        fabric.barrier()

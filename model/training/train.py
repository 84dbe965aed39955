"""The training loop: hybrid loss, batches of m per class, the best checkpoint by MAP@R on classes held out for it.

Killed at any point, the next call with the same `work` folder resumes after the last finished epoch and ends at the same figures.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fcntl import LOCK_EX, flock
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from model.config import ModelConfig, TrainConfig
from model.data.feature_cache import feature_maps, features_folder
from model.data.manifest import Manifest, read_manifest
from model.data.sampler import epoch_batches
from model.errors import GlocalError, InvalidInput
from model.evaluation.metrics import evaluate_retrieval
from model.files import atomic_folder, sha256_json, write_json
from model.losses.hybrid import HybridLoss
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import Start, get_method
from model.networks.stored import NetworkSpec, save_network
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.training.checkpoint import Counters, load_checkpoint, save_checkpoint
from model.training.regimes import FinetunedTrunk, FrozenTrunk, Inputs, Regime
from model.training.whitening import ClassStatistics, whiten_heads

WEIGHTS = (1.0, 0.35, 0.5, 0.7, 1.4, 2.0)
"""What is tried for a head whose weight is chosen; of equally good ones the first."""


@dataclass(frozen=True)
class TrainReport:
    """How a training went: one entry of `history` an epoch, with `loss`, `map_at_r` on the validation classes and `seconds`."""

    epochs: int
    best_epoch: int
    validation_map_at_r: float
    history: tuple[dict[str, float], ...]


@dataclass
class Learner:
    """What one training holds: the network with its regime, the loss with its proxies, the optimiser, and the samples."""

    network: RetrievalNetwork
    regime: Regime
    loss: HybridLoss
    optimizer: torch.optim.Optimizer
    manifest: Manifest
    train_rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    """(N_train,) classes of `train_rows`, from 0."""
    val_rows: NDArray[np.int64]
    start: Start
    weighed: str | None
    """The head whose weight is chosen on `val_rows`."""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {**self.regime.trained(), "loss": self.loss}


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
        work: Holds checkpoints and cached maps between calls; calls with the same work take turns.
        out: Receives `weights.safetensors`, `config.json` and `training.json`, whole or not at all.
        progress: Told of every batch of maps and of every epoch.

    Raises:
        InvalidInput: Fewer than two training classes, or a setting that names nothing.
        GlocalError: The loss is no longer finite.
    """
    manifest = read_manifest(dataset)
    key = sha256_json([data_md5, model.model_dump(), config.model_dump(exclude={"device", "workers"})])
    folder = work / "training" / key[:16]
    with _turn(folder):
        torch.manual_seed(config.seed)
        fabric = Fabric(accelerator=config.device, devices=1)
        learner = make_learner(manifest, model, config, data_md5=data_md5, work=work, progress=progress, fabric=fabric)
        counters = load_checkpoint(folder / "last.safetensors", learner.modules, learner.optimizer, key)
        if counters is None:
            counters = _start(learner, folder, key)
        counters = _run(learner, config, folder, key, counters, progress, fabric)
        load_best(learner, folder, key)
        report = TrainReport(counters.epoch, counters.best_epoch, counters.best, counters.history)
        with atomic_folder(out) as partial:
            save_network(learner.network, partial / "weights.safetensors")
            write_json(partial / "config.json", _spec(learner, model).to_json())
            write_json(partial / "training.json", asdict(report))
    return report


def _spec(learner: Learner, model: ModelConfig) -> NetworkSpec:
    return NetworkSpec(model.method, model.trunk, model.image_size, learner.network.heads.architecture)


def make_learner(
    manifest: Manifest,
    model: ModelConfig,
    config: TrainConfig,
    *,
    data_md5: str,
    work: Path,
    progress: Progress | None,
    fabric: Fabric,
) -> Learner:
    """Build everything a training needs, the heads as they are initialised."""
    train_rows, val_rows = manifest.rows("train"), manifest.rows("val")
    classes, labels = np.unique(manifest.labels[train_rows], return_inverse=True)
    if len(classes) < 2:
        raise InvalidInput("Training needs pictures of at least two classes.", "Add classes to the data set.")
    method = get_method(model.method, global_attention=model.global_attention, local_attention=model.local_attention)
    trunk = make_trunk(model.trunk, model.weights).eval()
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, method.architecture)).to(fabric.device)
    if config.trunk == "frozen":
        trunk.requires_grad_(False)
        seen = manifest.select(manifest.rows("train", "val", "test"))
        cache = features_folder(work, data_md5, trunk, model.image_size)
        maps = feature_maps(seen, trunk, model.image_size, cache, progress)
        train_rows, val_rows, manifest = seen.rows("train"), seen.rows("val"), seen
        regime: Regime = FrozenTrunk(network, maps)
    else:
        regime = FinetunedTrunk(network, manifest, model.image_size, config.workers)
    loss = HybridLoss(method.losses, network.heads.widths, len(classes)).to(fabric.device)
    groups = [
        {"params": list(network.trunk.parameters()), "lr": config.trunk_learning_rate, "role": "trunk"},
        {"params": list(network.heads.parameters()), "lr": config.learning_rate, "role": "heads"},
        {"params": list(loss.parameters()), "lr": config.proxy_learning_rate, "role": "proxies"},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    start = method.start if config.start == "method" else config.start
    return Learner(
        network, regime, loss, optimizer, manifest, train_rows, labels.astype(np.int64), val_rows, start, method.weighed
    )


def _start(learner: Learner, folder: Path, key: str) -> Counters:
    """Whiten the heads, set the proxies to the class means, and keep that as epoch 0: the first candidate for the best."""
    if learner.start == "whitened":
        whiten_heads(learner.network.heads, lambda: _labelled_maps(learner), int(learner.labels.max()) + 1)
        _weigh(learner)
        _proxies_at_means(learner)
    figure = validate(learner)
    counters = Counters(best=figure, history=({"epoch": 0, "map_at_r": figure},))
    for name in ("best", "last"):
        save_checkpoint(folder / f"{name}.safetensors", learner.modules, learner.optimizer, counters, key)
    return counters


def _labelled_maps(learner: Learner) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    start = 0
    device = next(learner.network.parameters()).device
    for inputs in learner.regime.plain(learner.train_rows):
        with torch.no_grad():
            shallow, deep = learner.network.trunk(inputs[0].to(device)) if len(inputs) == 1 else inputs
        labels = torch.from_numpy(learner.labels[start : start + len(deep)])
        start += len(deep)
        yield shallow.to(device), deep.to(device), labels


@torch.inference_mode()
def _weigh(learner: Learner) -> None:
    """Give one head the weight in the merged vector under which the validation classes are found best."""
    if learner.weighed is None or not len(learner.val_rows):
        return
    heads = learner.network.heads
    place = list(heads.architecture.heads).index(learner.weighed)
    figures = {}
    for weight in WEIGHTS:
        heads.weights[place] = weight
        figures[weight] = validate(learner)
    heads.weights[place] = max(WEIGHTS, key=lambda weight: figures[weight])


@torch.no_grad()
def _proxies_at_means(learner: Learner) -> None:
    heads, classes = learner.network.heads.eval(), int(learner.labels.max()) + 1
    statistics: dict[str, ClassStatistics] = {}
    for shallow, deep, labels in _labelled_maps(learner):
        embeddings = heads(shallow, deep)
        for name in learner.loss.proxied:
            vectors = embeddings.on(name)
            statistics.setdefault(name, ClassStatistics(classes, vectors.shape[1])).add(vectors, labels)
    learner.loss.place_proxies({name: values.means.float() for name, values in statistics.items()})


def _run(
    learner: Learner, config: TrainConfig, folder: Path, key: str, counters: Counters, progress: Progress | None, fabric: Fabric
) -> Counters:
    for epoch in range(counters.epoch, config.epochs):
        if epoch - counters.best_epoch >= config.patience:
            break
        started = time.monotonic()
        loss = train_epoch(learner, config, epoch, fabric)
        figure = validate(learner)
        entry = {"epoch": epoch + 1, "loss": loss, "map_at_r": figure, "seconds": round(time.monotonic() - started, 3)}
        counters = replace(counters, epoch=epoch + 1, history=(*counters.history, entry))
        if figure > counters.best:
            counters = replace(counters, best=figure, best_epoch=epoch + 1)
            save_checkpoint(folder / "best.safetensors", learner.modules, learner.optimizer, counters, key)
        save_checkpoint(folder / "last.safetensors", learner.modules, learner.optimizer, counters, key)
        if progress:
            progress(epoch + 1, config.epochs, f"epochs: loss {loss:.3f}, validation MAP@R {figure:.4f}")
    return counters


def load_best(learner: Learner, folder: Path, key: str) -> None:
    """Put the network back to its best epoch."""
    load_checkpoint(folder / "best.safetensors", learner.modules, learner.optimizer, key)


def train_epoch(learner: Learner, config: TrainConfig, epoch: int, fabric: Fabric) -> float:
    """One pass over the training pictures; returns the mean loss.

    Raises:
        GlocalError: The loss is no longer finite.
    """
    batches = epoch_batches(
        learner.labels,
        classes_per_batch=config.classes_per_batch,
        images_per_class=config.images_per_class,
        seed=config.seed,
        epoch=epoch,
    )
    torch.manual_seed(config.seed * 100_003 + epoch)
    learner.regime.set_training()
    total = 0.0
    for step, (inputs, rows) in enumerate(zip(learner.regime.augmented(learner.train_rows[batches]), batches, strict=True)):
        _set_rates(learner.optimizer, config, epoch * len(batches) + step, len(batches))
        embeddings = learner.network(*_on(fabric, inputs))
        loss = learner.loss(embeddings, torch.from_numpy(learner.labels[rows]).to(fabric.device))
        if not torch.isfinite(loss):
            raise GlocalError(f"The loss is no longer finite in epoch {epoch + 1}.", "Lower train.learning_rate.")
        learner.optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        nn.utils.clip_grad_value_(learner.network.parameters(), config.clip)
        learner.optimizer.step()
        total += loss.item()
    return total / len(batches)


def _set_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int, steps_per_epoch: int) -> None:
    """A linear rise over the warm-up, in which the trunk rests, then half a cosine down to nothing."""
    warmup, total = config.warmup_epochs * steps_per_epoch, max(1, config.epochs * steps_per_epoch)
    factor = min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / total))
    rates = {"trunk": config.trunk_learning_rate, "heads": config.learning_rate, "proxies": config.proxy_learning_rate}
    for group in optimizer.param_groups:
        resting = group["role"] == "trunk" and step < warmup
        group["lr"] = 0.0 if resting else rates[group["role"]] * factor


def validate(learner: Learner) -> float:
    """MAP@R on the validation classes, each picture a query to all others; 0 where there are none."""
    if not len(learner.val_rows):
        return 0.0
    vectors = embed_rows(learner, learner.val_rows)
    per_query = evaluate_retrieval(vectors, learner.manifest.labels[learner.val_rows], learner.manifest.ids[learner.val_rows])
    return float(per_query.map_at_r[per_query.has_match].mean())


def embed_rows(learner: Learner, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The merged embeddings of rows, (N, D) float32, L2-normalised."""
    learner.network.eval()
    device = next(learner.network.parameters()).device
    with torch.inference_mode():
        return np.concatenate(
            [learner.network(*(part.to(device) for part in inputs)).merged.cpu().numpy() for inputs in learner.regime.plain(rows)]
        )


def _on(fabric: Fabric, inputs: Inputs) -> Inputs:
    return tuple(tensor.to(fabric.device, non_blocking=True) for tensor in inputs)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other process trains in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        flock(file, LOCK_EX)
        yield

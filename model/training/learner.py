"""The parts of one training, built from its settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.config import ModelConfig, TrainConfig
from model.data.cache.feature_maps import feature_maps, features_folder
from model.data.cache.stored_images import images_folder, stored_images
from model.data.image_batches import BATCH
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.losses.hybrid import HybridLoss
from model.networks.heads import Embeddings, MultiHead, RetrievalNetwork
from model.networks.methods import Init, Method, get_method
from model.networks.trunk import make_trunk
from model.prefetching import prefetch
from model.progress import Progress
from model.training.distributed import share
from model.training.gradients import Inputs
from model.training.trunk_modes import FinetunedTrunk, FrozenTrunk, Stored, TrunkMode

_STORED_SIDE = 1.5
"""Side of a stored image relative to the trunk's input: a mean crop, 70 % of the area, is then reduced a little, not enlarged."""


@dataclass
class Learner:
    """The parts of one training.

    Attributes:
        config: Settings of the training.
        fabric: Devices and processes.
        network: The network.
        mode: Whether the trunk is trained, with the batches that follow from it.
        loss: The method's loss with its proxies.
        optimizer: Optimiser of network and proxies.
        averaged: Moving average of the trained weights; None if there is none.
        embed: The network's forward pass, compiled if the settings say so.
        manifest: The samples that the training reads.
        train_rows: Rows of the manifest that are trained on.
        labels: (N_train,) classes of `train_rows`, from 0.
        val_rows: Rows of the manifest in the validation classes.
        init: Init of the projections.
        tuned_head: Head whose weight in the merged vector is chosen on `val_rows`; None keeps all weights.
    """

    config: TrainConfig
    fabric: Fabric
    network: RetrievalNetwork
    mode: TrunkMode
    loss: HybridLoss
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None
    embed: Callable[..., Embeddings]
    manifest: Manifest
    train_rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    val_rows: NDArray[np.int64]
    init: Init
    tuned_head: str | None

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The modules that a checkpoint holds, by name."""
        averaged = {"averaged": self.averaged} if self.averaged else {}
        return {**self.mode.trained(), "loss": self.loss, **averaged}

    @property
    def evaluated(self) -> RetrievalNetwork:
        """The network that is validated and kept: the averaged one if there is an average."""
        if self.averaged is None:
            return self.network
        part = self.averaged.module
        return RetrievalNetwork(self.network.trunk, part) if isinstance(part, MultiHead) else cast(RetrievalNetwork, part)

    @property
    def classes(self) -> int:
        """Number of training classes."""
        return int(self.labels.max()) + 1

    @property
    def validation_classes(self) -> int:
        """Number of validation classes with at least two images, which a query can find."""
        _, counts = np.unique(self.manifest.labels[self.val_rows], return_counts=True)
        return int((counts > 1).sum())

    def average(self) -> None:
        """Update the moving average with the current weights; the first call copies them."""
        if self.averaged is not None:
            (trained,) = self.mode.trained().values()
            self.averaged.update_parameters(trained)

    def augmented_batches(self, batches: NDArray[np.int64], epoch: int, first: int = 0) -> Iterator[Inputs]:
        """This process's share of the batches (steps, B) of indices into `train_rows`, augmented, from step `first` on."""
        mine = share(self.fabric, batches.shape[1])
        seeds = ((self.config.seed, epoch, step) for step in range(first, len(batches)))
        rows = self.train_rows[batches[first:]]
        return self._load(partial(self.mode.augmented, some, mine, seed) for some, seed in zip(rows, seeds, strict=True))

    def unaugmented_batches(self, rows: NDArray[np.int64]) -> Iterator[Inputs]:
        """Batches of the given rows of the manifest, in order and without augmentation."""
        return self._load(partial(self.mode.unaugmented, rows[begin : begin + BATCH]) for begin in range(0, len(rows), BATCH))

    def _load(self, calls: Iterator[Callable[[], Stored]]) -> Iterator[Inputs]:
        pinned = self.fabric.device.type == "cuda"
        read = (partial(_pinned, call) if pinned else call for call in calls)
        for stored in prefetch(read, self.config.workers):
            yield self.mode.inputs(tuple(part.to(self.fabric.device, non_blocking=True) for part in stored))


def _pinned(call: Callable[[], Stored]) -> Stored:
    return tuple(part.pin_memory() for part in call())


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
    """Build the parts of a training, the heads with random weights.

    Raises:
        InvalidInput: There are fewer than two training classes, or a setting names something unknown.
    """
    classes, labels = np.unique(manifest.labels[manifest.rows("train")], return_inverse=True)
    if len(classes) < 2:
        raise InvalidInput("Training needs images of at least two classes.", "Add classes to the data set.")
    method = get_method(model.method, global_attention=model.global_attention, local_attention=model.local_attention)
    network = _network(model, method, fabric)
    # The steps after the training read the test images too, so a frozen trunk maps all samples.
    seen = manifest.classified if config.trunk == "frozen" else manifest.select(manifest.rows("train", "val"))
    mode = _trunk_mode(network, seen, model, config, data_md5, work, progress)
    loss = HybridLoss(method.losses, network.heads.widths, len(classes)).to(fabric.device)
    return Learner(
        config=config,
        fabric=fabric,
        network=network,
        mode=mode,
        loss=loss,
        optimizer=_optimizer(network, loss, config),
        averaged=_average_of(mode, config),
        embed=torch.compile(network) if config.compile else network,
        manifest=seen,
        train_rows=seen.rows("train"),
        labels=labels.astype(np.int64),
        val_rows=seen.rows("val"),
        init=method.init if config.init == "method" else config.init,
        tuned_head=method.tuned_head,
    )


def _network(model: ModelConfig, method: Method, fabric: Fabric) -> RetrievalNetwork:
    trunk = make_trunk(model.trunk, model.weights).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return RetrievalNetwork(trunk, MultiHead(trunk.channels, method.architecture)).to(fabric.device)


def _trunk_mode(
    network: RetrievalNetwork,
    seen: Manifest,
    model: ModelConfig,
    config: TrainConfig,
    data_md5: str,
    work: Path,
    progress: Progress | None,
) -> TrunkMode:
    """The mode that `train.trunk` names, with its cached feature maps or images of the samples `seen`."""
    if config.trunk == "frozen":
        network.trunk.requires_grad_(False)
        cache = features_folder(work, data_md5, network.trunk, model.image_size)
        return FrozenTrunk(network, feature_maps(seen, network.trunk, model.image_size, cache, progress))
    side = round(_STORED_SIDE * model.image_size)
    return FinetunedTrunk(network, stored_images(seen, side, images_folder(work, data_md5, side), progress), model.image_size)


def _optimizer(network: RetrievalNetwork, loss: HybridLoss, config: TrainConfig) -> torch.optim.Optimizer:
    groups = [
        {"params": list(network.trunk.parameters()), "lr": config.trunk_learning_rate, "role": "trunk"},
        {"params": list(network.heads.parameters()), "lr": config.learning_rate, "role": "heads"},
        {"params": list(loss.parameters()), "lr": config.proxy_learning_rate, "role": "proxies"},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _average_of(mode: TrunkMode, config: TrainConfig) -> AveragedModel | None:
    (trained,) = mode.trained().values()
    return AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(config.ema)) if config.ema else None

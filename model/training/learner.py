"""What is trained, built from settings."""

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
from model.data.cache.feature_maps import BATCH, feature_maps, features_folder, images_folder, stored_images
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.losses.hybrid import HybridLoss
from model.networks.heads import Embeddings, MultiHead, RetrievalNetwork
from model.networks.methods import Start, get_method
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.training.distributed import share
from model.training.gradients import Inputs
from model.training.loader import ahead
from model.training.regimes import FinetunedTrunk, FrozenTrunk, Regime, Stored

_STORED_SIDE = 1.5
"""Side of a stored image by that of what the trunk sees: the mean crop, 70 % of the area, is then made a little smaller."""


@dataclass
class Learner:
    """What one training holds."""

    config: TrainConfig
    fabric: Fabric
    network: RetrievalNetwork
    regime: Regime
    loss: HybridLoss
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None
    """The moving average of what learns, where one is kept."""
    embed: Callable[..., Embeddings]
    """The network's forward pass, compiled if so set; weights and their names stay the network's."""
    manifest: Manifest
    train_rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    """(N_train,) classes of `train_rows`, from 0."""
    val_rows: NDArray[np.int64]
    start: Start
    weighed: str | None
    """The head whose weight in the merged vector is chosen on `val_rows`."""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        averaged = {"averaged": self.averaged} if self.averaged else {}
        return {**self.regime.trained(), "loss": self.loss, **averaged}

    @property
    def judged(self) -> RetrievalNetwork:
        """The network that is validated and kept: the averaged one, where an average is kept."""
        if self.averaged is None:
            return self.network
        part = self.averaged.module
        return RetrievalNetwork(self.network.trunk, part) if isinstance(part, MultiHead) else cast(RetrievalNetwork, part)

    @property
    def classes(self) -> int:
        """How many classes are trained on."""
        return int(self.labels.max()) + 1

    def average(self) -> None:
        """Take the weights as they are now into the average; the first ones become it."""
        if self.averaged is not None:
            (trained,) = self.regime.trained().values()
            self.averaged.update_parameters(trained)

    def varied(self, batches: NDArray[np.int64], epoch: int, first: int = 0) -> Iterator[Inputs]:
        """This process's share of the batches (steps, B) of places in `train_rows`, varied at random, from step `first` on."""
        mine = share(self.fabric, batches.shape[1])
        seeds = ((self.config.seed, epoch, step) for step in range(first, len(batches)))
        rows = self.train_rows[batches[first:]]
        return self._made(partial(self.regime.varied, some, mine, seed) for some, seed in zip(rows, seeds, strict=True))

    def plain(self, rows: NDArray[np.int64]) -> Iterator[Inputs]:
        """The rows of the manifest in order, as they are."""
        return self._made(partial(self.regime.plain, rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))

    def _made(self, calls: Iterator[Callable[[], Stored]]) -> Iterator[Inputs]:
        pinned = self.fabric.device.type == "cuda"
        read = (partial(_pinned, call) if pinned else call for call in calls)
        for stored in ahead(read, self.config.workers):
            yield self.regime.inputs(tuple(part.to(self.fabric.device, non_blocking=True) for part in stored))


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
    """Build everything a training needs, the heads as they are initialised.

    Raises:
        InvalidInput: Fewer than two training classes, or a setting that names nothing.
    """
    train_rows = manifest.rows("train")
    classes, labels = np.unique(manifest.labels[train_rows], return_inverse=True)
    if len(classes) < 2:
        raise InvalidInput("Training needs images of at least two classes.", "Add classes to the data set.")
    method = get_method(model.method, global_attention=model.global_attention, local_attention=model.local_attention)
    trunk = make_trunk(model.trunk, model.weights).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, method.architecture)).to(fabric.device)
    if config.trunk == "frozen":
        trunk.requires_grad_(False)
        seen = manifest.classified  # the steps after this one look at the test images
        cache = features_folder(work, data_md5, trunk, model.image_size)
        regime: Regime = FrozenTrunk(network, feature_maps(seen, trunk, model.image_size, cache, progress))
    else:
        seen = manifest.select(manifest.rows("train", "val"))
        side = round(_STORED_SIDE * model.image_size)
        images = stored_images(seen, side, images_folder(work, data_md5, side), progress)
        regime = FinetunedTrunk(network, images, model.image_size)
    loss = HybridLoss(method.losses, network.heads.widths, len(classes)).to(fabric.device)
    return Learner(
        config=config,
        fabric=fabric,
        network=network,
        regime=regime,
        loss=loss,
        optimizer=_optimizer(network, loss, config),
        averaged=_average_of(regime, config),
        embed=torch.compile(network) if config.compile else network,
        manifest=seen,
        train_rows=seen.rows("train"),
        labels=labels.astype(np.int64),
        val_rows=seen.rows("val"),
        start=method.start if config.start == "method" else config.start,
        weighed=method.weighed,
    )


def _optimizer(network: RetrievalNetwork, loss: HybridLoss, config: TrainConfig) -> torch.optim.Optimizer:
    groups = [
        {"params": list(network.trunk.parameters()), "lr": config.trunk_learning_rate, "role": "trunk"},
        {"params": list(network.heads.parameters()), "lr": config.learning_rate, "role": "heads"},
        {"params": list(loss.parameters()), "lr": config.proxy_learning_rate, "role": "proxies"},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _average_of(regime: Regime, config: TrainConfig) -> AveragedModel | None:
    (trained,) = regime.trained().values()
    return AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(config.ema)) if config.ema else None

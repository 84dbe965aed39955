"""The parts of one training, built from its settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.config import TrainConfig
from model.data.cache.feature_maps import FeatureMaps
from model.data.image_batches import BATCH
from model.data.manifest import Manifest
from model.losses.hybrid import HybridLoss
from model.networks.heads import Embeddings, MultiHead, RetrievalNetwork
from model.prefetching import prefetch
from model.training.candidates import Candidate
from model.training.distributed import share
from model.training.folds import Fold
from model.training.gradients import Inputs
from model.training.training_data import TrainingData, load_trunk
from model.training.trunk_modes import FinetunedTrunk, FrozenTrunk, Stored, TrunkMode


@dataclass
class Learner:
    """The parts of one training.

    Attributes:
        config: Settings of the training.
        candidate: Settings that are compared.
        fabric: Devices and processes.
        network: The network.
        mode: What is trained, with the batches that follow from it.
        loss: The method's loss with its proxies.
        optimizer: Optimiser of network and proxies.
        averaged: Moving average of the trained weights; None if there is none.
        embed: The network's forward pass, compiled if the settings say so.
        manifest: The samples that the training reads.
        fold: Rows of the manifest that are trained on, and that are held out.
        labels: (N_train,) classes of `fold.train`, from 0.
    """

    config: TrainConfig
    candidate: Candidate
    fabric: Fabric
    network: RetrievalNetwork
    mode: TrunkMode
    loss: HybridLoss
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None
    embed: Callable[..., Embeddings]
    manifest: Manifest
    fold: Fold
    labels: NDArray[np.int64]

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
        """Number of classes that are trained on."""
        return int(self.labels.max()) + 1

    def average(self) -> None:
        """Update the moving average with the current weights; the first call copies them."""
        if self.averaged is not None:
            (trained,) = self.mode.trained().values()
            self.averaged.update_parameters(trained)

    def augmented_batches(self, batches: NDArray[np.int64], epoch: int, first: int = 0) -> Iterator[Inputs]:
        """This process's share of the batches (steps, B) of indices into `fold.train`, augmented, from step `first` on."""
        mine = share(self.fabric, batches.shape[1])
        seeds = ((self.config.seed, epoch, step) for step in range(first, len(batches)))
        rows = self.fold.train[batches[first:]]
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


def make_learner(data: TrainingData, fold: Fold, candidate: Candidate, fabric: Fabric) -> Learner:
    """Build the parts of a training on the training rows of a fold, the heads with random weights."""
    config, method = data.config, data.method
    torch.manual_seed(config.seed)
    architecture = method.architecture if candidate.whole_heads else method.architecture.without_attention()
    if data.trunk is None:
        trunk = load_trunk(data.model, fabric)
        trunk.freeze_early(config.frozen_stride)
    else:
        trunk = data.trunk
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, architecture)).to(fabric.device)
    if candidate.init == "whitened":
        network.heads.train_residuals()
    classes, labels = np.unique(data.manifest.labels[fold.train], return_inverse=True)
    loss = HybridLoss(method.losses, network.heads.widths, len(classes)).to(fabric.device)
    mode: TrunkMode
    if isinstance(data.cached, FeatureMaps):
        mode = FrozenTrunk(network, data.cached)
    else:
        mode = FinetunedTrunk(network, data.cached, data.model.image_size)
    return Learner(
        config=config,
        candidate=candidate,
        fabric=fabric,
        network=network,
        mode=mode,
        loss=loss,
        optimizer=make_optimizer(network, loss, config),
        averaged=_average_of(mode, config),
        embed=torch.compile(network) if config.compile else network,
        manifest=data.manifest,
        fold=fold,
        labels=labels.astype(np.int64),
    )


def make_optimizer(network: RetrievalNetwork, loss: HybridLoss, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a training, before its first step; the steps set the learning rates."""
    groups = [
        {"params": list(network.trunk.parameters()), "role": "trunk"},
        {"params": list(network.heads.parameters()), "role": "heads"},
        {"params": list(loss.parameters()), "role": "proxies"},
    ]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=config.weight_decay, fused=True)


def _average_of(mode: TrunkMode, config: TrainConfig) -> AveragedModel | None:
    (trained,) = mode.trained().values()
    return AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(config.ema)) if config.ema else None

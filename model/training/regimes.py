"""Where training batches come from: a frozen trunk's cached maps, or cached images through a trunk that learns as well."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from model.data.augmentation import cropped, random_crops
from model.data.cache.feature_maps import FeatureMaps, as_maps
from model.data.images import normalise, resize
from model.networks.heads import RetrievalNetwork
from model.training.gradients import Inputs
from model.training.norms import rest

Stored = tuple[Tensor, ...]
"""Rows as they lie on disk: float16 maps, or uint8 images. Half or a quarter of what they become on the device."""


class Regime(Protocol):
    """A way to feed the network. `plain` and `varied` are called from threads."""

    def trained(self) -> dict[str, nn.Module]:
        """What learns, by the name it has in a checkpoint."""
        ...

    def set_training(self) -> None:
        """Put the network in training mode, its batch norm at rest."""
        ...

    def varied(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """The share `mine` of a batch of rows (B,), varied at random as the seed says, whatever the share."""
        ...

    def plain(self, rows: NDArray[np.int64]) -> Stored:
        """The rows as they are."""
        ...

    def inputs(self, stored: Stored) -> Inputs:
        """What the network takes, made on the device."""
        ...


@dataclass(frozen=True)
class FrozenTrunk:
    """Only the heads learn, from maps that were computed once."""

    network: RetrievalNetwork
    maps: FeatureMaps

    def trained(self) -> dict[str, nn.Module]:
        """The heads."""
        return {"heads": self.network.heads}

    def set_training(self) -> None:
        """The trunk rests altogether."""
        self.network.eval()
        self.network.heads.train()
        rest(self.network)

    def varied(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """The maps as they are: a cached map cannot be varied."""
        return self.plain(rows[mine])

    def plain(self, rows: NDArray[np.int64]) -> Stored:
        """Shallow (B, H1, W1, C1) and deep (B, H2, W2, C2), float16."""
        return torch.from_numpy(self.maps.shallow[rows]), torch.from_numpy(self.maps.deep[rows])

    def inputs(self, stored: Stored) -> Inputs:
        """The two maps, float32."""
        return tuple(as_maps(maps) for maps in stored)


@dataclass(frozen=True)
class FinetunedTrunk:
    """Trunk and heads learn, from images cropped and mirrored at random.

    Attributes:
        network: All of it learns but the trunk's batch norm, which stays as ImageNet left it.
        images: (N, S', S', 3) uint8, larger than what the trunk sees, so that a crop need not be enlarged much.
        image_size: Side of what the trunk sees.
    """

    network: RetrievalNetwork
    images: NDArray[np.uint8]
    image_size: int

    def trained(self) -> dict[str, nn.Module]:
        """The whole network."""
        return {"network": self.network}

    def set_training(self) -> None:
        """The trunk's batch norm learns nothing, not even its scale."""
        self.network.train()
        rest(self.network)
        for module in self.network.trunk.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)

    def varied(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """Random crops, (b, 3, S, S) uint8. All are drawn, also those that other processes cut."""
        crops = random_crops(np.random.default_rng(seed), len(rows), self.images.shape[1])
        return (cropped(self.images[rows[mine]], crops[mine], self.image_size),)

    def plain(self, rows: NDArray[np.int64]) -> Stored:
        """Whole images, (B, 3, S, S) uint8."""
        return (resize(torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2), self.image_size),)

    def inputs(self, stored: Stored) -> Inputs:
        """Normalised images, float32."""
        (images,) = stored
        return (normalise(images, self.network.trunk.mean, self.network.trunk.std),)

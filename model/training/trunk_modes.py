"""What of the network is trained, with its batches.

- `FrozenTrunk` (`train.trunk=frozen`): the heads, on the trunk's cached feature maps.
- `FrozenVectors`: the residuals of the heads' projections alone, on vectors that were projected once. It takes over from
  `FrozenTrunk` after a whitened init, where no head has attention that is to be trained.
- `FinetunedTrunk` (`train.trunk=finetune`): the heads and the later layers of the trunk, on cached images.
"""

from abc import ABC, abstractmethod
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
from model.training.norms import freeze_statistics

Stored = tuple[Tensor, ...]
"""Rows as stored on disk: float16 maps or uint8 images, half or a quarter of their size on the device."""


class TrunkMode(Protocol):
    """The part of the network that is trained, and its inputs. Threads call `augmented` and `unaugmented`."""

    def trained(self) -> dict[str, nn.Module]:
        """The trained module, by its name in a checkpoint."""
        ...

    def set_training(self) -> None:
        """Put the network in training mode, with frozen batch norm statistics."""
        ...

    def augmented(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """The slice `mine` of a batch of rows (B,), augmented at random. The same seed gives the same images for any slice."""
        ...

    def unaugmented(self, rows: NDArray[np.int64]) -> Stored:
        """The rows without augmentation."""
        ...

    def inputs(self, stored: Stored) -> Inputs:
        """The network's inputs, from stored rows on the device."""
        ...


@dataclass(frozen=True)
class _HeadsAlone(ABC):
    """The heads are trained, on what a frozen trunk gave once; it cannot be augmented."""

    network: RetrievalNetwork

    def trained(self) -> dict[str, nn.Module]:
        """The heads."""
        return {"heads": self.network.heads}

    def set_training(self) -> None:
        """Put the heads in training mode; the trunk stays in evaluation mode."""
        self.network.eval()
        self.network.heads.train()
        freeze_statistics(self.network)

    @abstractmethod
    def unaugmented(self, rows: NDArray[np.int64]) -> Stored:
        """The rows."""

    def augmented(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """The rows, without augmentation."""
        return self.unaugmented(rows[mine])


@dataclass(frozen=True)
class FrozenTrunk(_HeadsAlone):
    """Whole heads are trained, on feature maps that are computed once.

    Attributes:
        network: The network.
        maps: The trunk's two maps of every row of the manifest.
    """

    maps: FeatureMaps

    def unaugmented(self, rows: NDArray[np.int64]) -> Stored:
        """Shallow (B, H1, W1, C1) and deep (B, H2, W2, C2), float16."""
        return torch.from_numpy(self.maps.shallow[rows]), torch.from_numpy(self.maps.deep[rows])

    def inputs(self, stored: Stored) -> Inputs:
        """The two maps, float32."""
        return tuple(as_maps(maps) for maps in stored)


@dataclass(frozen=True)
class FrozenVectors(_HeadsAlone):
    """The residuals of the heads' projections are trained, on vectors that are projected once.

    Attributes:
        network: The network.
        vectors: (M, D) float32, what `MultiHead.projected` returned for the rows that the training reads.
        places: (N,) the place of each row of the manifest in `vectors`.
    """

    vectors: Tensor
    places: NDArray[np.int64]

    def unaugmented(self, rows: NDArray[np.int64]) -> Stored:
        """The vectors of the rows, (B, D) float32."""
        return (self.vectors[torch.from_numpy(self.places[rows])],)

    def inputs(self, stored: Stored) -> Inputs:
        """The vectors."""
        return stored


@dataclass(frozen=True)
class FinetunedTrunk:
    """Trunk and heads are trained, on images that are cropped and mirrored at random.

    Attributes:
        network: The network. All of it is trained except the layers that `train.frozen_stride` leaves frozen, and the trunk's
            batch norm, which keeps its pretrained values.
        images: (N, S', S', 3) uint8, larger than the trunk's input, so that crops are enlarged little.
        image_size: Side of the trunk's input.
    """

    network: RetrievalNetwork
    images: NDArray[np.uint8]
    image_size: int

    def trained(self) -> dict[str, nn.Module]:
        """The network."""
        return {"network": self.network}

    def set_training(self) -> None:
        """Put the network in training mode. The trunk's batch norm is not trained, nor are its scale and shift."""
        self.network.train()
        freeze_statistics(self.network)
        for module in self.network.trunk.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)

    def augmented(self, rows: NDArray[np.int64], mine: slice, seed: tuple[int, ...]) -> Stored:
        """Random crops, (b, 3, S, S) uint8. The crops of the whole batch are drawn, so that every process draws the same."""
        crops = random_crops(np.random.default_rng(seed), len(rows), self.images.shape[1])
        return (cropped(self.images[rows[mine]], crops[mine], self.image_size),)

    def unaugmented(self, rows: NDArray[np.int64]) -> Stored:
        """Whole images, (B, 3, S, S) uint8."""
        return (resize(torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2), self.image_size),)

    def inputs(self, stored: Stored) -> Inputs:
        """Normalised images, float32."""
        (images,) = stored
        return (normalise(images, self.network.trunk.mean, self.network.trunk.std),)

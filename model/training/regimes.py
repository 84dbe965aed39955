"""Where training batches come from: a frozen trunk's cached maps, or pictures through a trunk that learns as well."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from model.data.feature_cache import BATCH, FeatureMaps, box_of, picture_batches
from model.data.manifest import Manifest
from model.data.pictures import decode_picture, normalise, resize
from model.networks.heads import RetrievalNetwork

Inputs = tuple[Tensor, ...]
"""What `RetrievalNetwork` takes: pictures, or the two maps made of them."""


class Regime(Protocol):
    """A way to feed the network."""

    def trained(self) -> dict[str, nn.Module]:
        """What learns, by the name it has in a checkpoint."""
        ...

    def set_training(self) -> None:
        """Put the network in training mode, its batch norm frozen wherever the trunk's weights came from elsewhere."""
        ...

    def augmented(self, batches: NDArray[np.int64]) -> Iterator[Inputs]:
        """The batches (steps, B) of rows, varied at random."""
        ...

    def plain(self, rows: NDArray[np.int64]) -> Iterator[Inputs]:
        """The rows in order, as they are."""
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

    def augmented(self, batches: NDArray[np.int64]) -> Iterator[Inputs]:
        """The maps of each batch, as they are: a cached map cannot be varied."""
        return (self.maps[rows] for rows in batches)

    def plain(self, rows: NDArray[np.int64]) -> Iterator[Inputs]:
        """The maps, in batches."""
        return (self.maps[rows[start : start + 4 * BATCH]] for start in range(0, len(rows), 4 * BATCH))


@dataclass(frozen=True)
class FinetunedTrunk:
    """Trunk and heads learn, from pictures cropped and mirrored at random; batch norm keeps its statistics."""

    network: RetrievalNetwork
    manifest: Manifest
    image_size: int
    workers: int

    def trained(self) -> dict[str, nn.Module]:
        """The whole network."""
        return {"network": self.network}

    def set_training(self) -> None:
        """The trunk's batch norm stays as ImageNet left it: batches of a few classes would bend its statistics."""
        self.network.train()
        for module in self.network.trunk.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
                module.requires_grad_(False)

    def augmented(self, batches: NDArray[np.int64]) -> Iterator[Inputs]:
        """Pictures of each batch, decoded by worker processes."""
        loader = DataLoader(_Augmented(self.manifest, self.image_size), batch_sampler=batches.tolist(), num_workers=self.workers)
        trunk = self.network.trunk
        return ((normalise(pictures, trunk.mean, trunk.std),) for pictures in loader)

    def plain(self, rows: NDArray[np.int64]) -> Iterator[Inputs]:
        """Pictures, in batches."""
        return ((pictures,) for pictures in picture_batches(self.manifest, rows, self.network.trunk, self.image_size))


class _Augmented(Dataset[Tensor]):
    def __init__(self, manifest: Manifest, size: int) -> None:
        self.manifest = manifest
        self.vary = v2.Compose([v2.RandomResizedCrop(size, scale=(0.4, 1.0), antialias=True), v2.RandomHorizontalFlip()])
        self.whole = partial(resize, size=2 * size)

    def __getitem__(self, row: int) -> Tensor:
        """One picture (3, S, S) uint8."""
        picture = decode_picture((self.manifest.folder / self.manifest.paths[row]).read_bytes())
        box = box_of(self.manifest, row)
        varied: Tensor = self.vary(picture if box is None else self.whole(picture, box=box))
        return varied

    def __len__(self) -> int:
        return len(self.manifest)

"""Feature maps on disk: the two maps of a frozen trunk, computed once for every image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.cache.stored_arrays import stored_arrays
from model.data.image_batches import normalised_batches
from model.data.images import DECODER
from model.data.manifest import Manifest
from model.files import sha256_json
from model.networks.trunk import Trunk
from model.progress import Progress


@dataclass(frozen=True)
class FeatureMaps:
    """The maps of a manifest's rows, memory-mapped.

    Attributes:
        shallow: (N, H1, W1, C1) float16.
        deep: (N, H2, W2, C2) float16.
    """

    shallow: NDArray[np.float16]
    deep: NDArray[np.float16]

    def __getitem__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The maps of `rows`, (B, C, H, W) float32, channels last in memory."""
        return as_maps(torch.from_numpy(self.shallow[rows])), as_maps(torch.from_numpy(self.deep[rows]))

    def __len__(self) -> int:
        return len(self.deep)

    def part(self, rows: slice) -> "FeatureMaps":
        """The maps of a run of rows, where they lie."""
        return FeatureMaps(self.shallow[rows], self.deep[rows])

    def select(self, rows: NDArray[np.int64]) -> "FeatureMaps":
        """The maps of `rows`, read into memory."""
        return FeatureMaps(self.shallow[rows], self.deep[rows])


def as_maps(stored: Tensor) -> Tensor:
    """Stored maps (B, H, W, C) float16 as the heads read them: (B, C, H, W) float32, channels last in memory."""
    return stored.float().permute(0, 3, 1, 2)


def features_folder(work: Path, data_md5: str, trunk: Trunk, size: int) -> Path:
    """The cache of some data's maps under a trunk. Other weights of the trunk, such as finetuned ones, have another folder."""
    return work / "features" / sha256_json([data_md5, trunk.fingerprint(), size, DECODER])[:16]


def feature_maps(manifest: Manifest, trunk: Trunk, size: int, cache: Path, progress: Progress | None = None) -> FeatureMaps:
    """The maps of every row of `manifest`, read from `cache`; maps that it lacks are computed into it.

    Args:
        manifest: Samples, in the order of the maps.
        trunk: Trunk in evaluation mode, on the CPU or a GPU.
        size: Side of the square image in pixels.
        cache: A folder of this manifest, trunk and size alone.
        progress: Called after every batch.
    """

    def batches(done: int) -> Iterator[tuple[NDArray[np.float16], ...]]:
        folded, device = trunk.folded(), next(trunk.parameters()).device
        for images in normalised_batches(manifest, np.arange(done, len(manifest)), trunk, size):
            with torch.inference_mode():
                maps = folded(images.to(device))
            yield tuple(features.permute(0, 2, 3, 1).half().cpu().numpy() for features in maps)

    def report(done: int) -> None:
        if progress:
            progress(done, len(manifest), "images through the trunk")

    return FeatureMaps(*stored_arrays(cache, ("shallow", "deep"), len(manifest), batches, report))


def known_maps(manifest: Manifest, trunk: Trunk, size: int, work: Path | None, data_md5: str) -> FeatureMaps | None:
    """The maps of `manifest.classified` if a training with this trunk frozen left them in `work`; None if not."""
    cache = features_folder(work, data_md5, trunk, size) if work else None
    return feature_maps(manifest.classified, trunk, size, cache) if cache and cache.is_dir() else None

"""What is made of every image once: the trunk's two maps for a frozen trunk, a small copy for one that learns."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.cache.stored_arrays import stored_arrays
from model.data.images import DECODER, load_image, normalise
from model.data.manifest import Manifest
from model.files import sha256_json
from model.networks.trunk import Trunk
from model.progress import Progress

BATCH = 64


@dataclass(frozen=True)
class FeatureMaps:
    """The maps of a manifest's rows: shallow (N, H1, W1, C1) and deep (N, H2, W2, C2), float16, memory-mapped."""

    shallow: NDArray[np.float16]
    deep: NDArray[np.float16]

    def __getitem__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The maps of `rows`, (B, C, H, W) float32, channels last in memory."""
        return as_maps(torch.from_numpy(self.shallow[rows])), as_maps(torch.from_numpy(self.deep[rows]))

    def __len__(self) -> int:
        return len(self.deep)

    def select(self, rows: NDArray[np.int64]) -> "FeatureMaps":
        """The maps of `rows` alone, read into memory."""
        return FeatureMaps(self.shallow[rows], self.deep[rows])


def as_maps(stored: Tensor) -> Tensor:
    """Maps as they are stored, (B, H, W, C) float16, as the heads take them: (B, C, H, W) float32, channels last in memory."""
    return stored.float().permute(0, 3, 1, 2)


def image_batches(manifest: Manifest, rows: NDArray[np.int64], trunk: Trunk, size: int) -> Iterator[Tensor]:
    """Decode `rows` in order and yield normalised batches (B, 3, size, size)."""
    return (normalise(images, trunk.mean, trunk.std) for images in _decoded(manifest, rows, size))


def _decoded(manifest: Manifest, rows: NDArray[np.int64], size: int, threads: int = 2) -> Iterator[Tensor]:
    """Decode `rows` in order and yield batches (B, 3, size, size) uint8."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            images = pool.map(
                lambda row: load_image(manifest.folder / str(manifest.paths[row]), size, box_of(manifest, row)), chunk
            )
            yield torch.stack(list(images))


def box_of(manifest: Manifest, row: int) -> tuple[float, float, float, float] | None:
    """The box of a sample, or None where it is the whole image."""
    box = manifest.boxes[row]
    return None if np.isnan(box[0]) else tuple(float(value) for value in box)  # type: ignore[return-value]


def features_folder(work: Path, data_md5: str, trunk: Trunk, size: int) -> Path:
    """Where the maps of some data under some trunk lie: other weights, finetuned ones for instance, have another folder."""
    return work / "features" / sha256_json([data_md5, trunk.fingerprint(), size, DECODER])[:16]


def feature_maps(manifest: Manifest, trunk: Trunk, size: int, cache: Path, progress: Progress | None = None) -> FeatureMaps:
    """The maps of every row of `manifest`, from `cache` where they lie there, else computed into it.

    Args:
        manifest: What to look at; its order is the maps' order.
        trunk: In evaluation mode, on the CPU or a GPU.
        size: Side of the square image.
        cache: A folder of this manifest, trunk and size alone.
        progress: Called after every batch.
    """

    def batches(done: int) -> Iterator[tuple[NDArray[np.float16], ...]]:
        folded, device = trunk.folded(), next(trunk.parameters()).device
        for images in image_batches(manifest, np.arange(done, len(manifest)), trunk, size):
            with torch.inference_mode():
                maps = folded(images.to(device))
            yield tuple(features.permute(0, 2, 3, 1).half().cpu().numpy() for features in maps)

    def report(done: int) -> None:
        if progress:
            progress(done, len(manifest), "images through the trunk")

    return FeatureMaps(*stored_arrays(cache, ("shallow", "deep"), len(manifest), batches, report))


def known_maps(manifest: Manifest, trunk: Trunk, size: int, work: Path | None, data_md5: str) -> FeatureMaps | None:
    """The maps of `manifest.classified` where a training with this trunk frozen has left them in `work`; else None."""
    cache = features_folder(work, data_md5, trunk, size) if work else None
    return feature_maps(manifest.classified, trunk, size, cache) if cache and cache.is_dir() else None


def images_folder(work: Path, data_md5: str, side: int) -> Path:
    """Where the small copies of some data's images lie."""
    return work / "images" / sha256_json([data_md5, side, DECODER])[:16]


def stored_images(manifest: Manifest, side: int, cache: Path, progress: Progress | None = None) -> NDArray[np.uint8]:
    """A copy of every row's image, (N, side, side, 3) uint8, memory-mapped, squeezed to a square as a trunk sees it.

    Args:
        manifest: What to copy; its order is the copies' order.
        side: Of the square, in pixels.
        cache: A folder of this manifest and side alone.
        progress: Called after every batch.
    """

    def batches(done: int) -> Iterator[tuple[NDArray[np.uint8]]]:
        for images in _decoded(manifest, np.arange(done, len(manifest)), side):
            yield (images.permute(0, 2, 3, 1).numpy(),)

    def report(done: int) -> None:
        if progress:
            progress(done, len(manifest), "images decoded")

    (images,) = stored_arrays(cache, ("images",), len(manifest), batches, report)
    return images

"""The trunk's two maps of every picture, computed once and kept on disk: what a frozen trunk trains from in seconds.

Kept as float16 in memory-mapped files, so that memory does not grow with the data. An interrupted computation resumes.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from model.data.manifest import Manifest
from model.data.pictures import load_picture, normalise
from model.files import read_json, sha256_json, write_json
from model.networks.trunk import Trunk
from model.progress import Progress

BATCH = 64
_FLUSH_EVERY = 10


@dataclass(frozen=True)
class FeatureMaps:
    """The maps of a manifest's rows: shallow (N, H1, W1, C1) and deep (N, H2, W2, C2), float16, memory-mapped."""

    shallow: NDArray[np.float16]
    deep: NDArray[np.float16]

    def __getitem__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The maps of `rows`, (B, C, H, W) float32, channels last in memory."""
        return _as_tensor(self.shallow[rows]), _as_tensor(self.deep[rows])

    def __len__(self) -> int:
        return len(self.deep)

    def select(self, rows: NDArray[np.int64]) -> "FeatureMaps":
        """The maps of `rows` alone, read into memory."""
        return FeatureMaps(self.shallow[rows], self.deep[rows])


def _as_tensor(maps: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(maps).float().permute(0, 3, 1, 2)


def picture_batches(manifest: Manifest, rows: NDArray[np.int64], trunk: Trunk, size: int, threads: int = 2) -> Iterator[Tensor]:
    """Decode `rows` in order and yield normalised batches (B, 3, size, size)."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            pictures = pool.map(
                lambda row: load_picture(manifest.folder / str(manifest.paths[row]), size, box_of(manifest, row)), chunk
            )
            yield normalise(torch.stack(list(pictures)), trunk.mean, trunk.std)


def box_of(manifest: Manifest, row: int) -> tuple[float, float, float, float] | None:
    """The box of a sample, or None where it is the whole picture."""
    box = manifest.boxes[row]
    return None if np.isnan(box[0]) else tuple(float(value) for value in box)  # type: ignore[return-value]


def features_folder(work: Path, data_md5: str, trunk: Trunk, size: int) -> Path:
    """Where the maps of some data under some trunk lie: other weights, finetuned ones for instance, have another folder."""
    return work / "features" / sha256_json([data_md5, trunk.fingerprint(), size])[:16]


def feature_maps(manifest: Manifest, trunk: Trunk, size: int, cache: Path, progress: Progress | None = None) -> FeatureMaps:
    """The maps of every row of `manifest`, from `cache` where they lie there, else computed into it.

    Args:
        manifest: What to look at; its order is the maps' order.
        trunk: In evaluation mode, on the CPU or a GPU.
        size: Side of the square picture.
        cache: A folder of this manifest, trunk and size alone.
        progress: Told of every batch.
    """
    partial = cache.with_name(cache.name + ".partial")
    if not (cache / "shallow.npy").is_file():
        _compute(manifest, trunk.folded(), size, partial, progress)
        shutil.rmtree(cache, ignore_errors=True)
        partial.rename(cache)
    return FeatureMaps(*(np.load(cache / f"{name}.npy", mmap_mode="r") for name in ("shallow", "deep")))


def _compute(manifest: Manifest, trunk: Trunk, size: int, partial: Path, progress: Progress | None) -> None:
    device = next(trunk.parameters()).device
    done_file = partial / "done.json"
    done = int(read_json(done_file)) if done_file.is_file() else 0
    if not done:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    rows = np.arange(done, len(manifest))
    files: list[np.memmap] = []  # type: ignore[type-arg]
    with torch.inference_mode():
        for step, pictures in enumerate(picture_batches(manifest, rows, trunk, size)):
            maps = [features.permute(0, 2, 3, 1).half().cpu().numpy() for features in trunk(pictures.to(device))]
            files = files or [
                _open(partial / f"{name}.npy", len(manifest), some, done)
                for name, some in zip(("shallow", "deep"), maps, strict=True)
            ]
            for file, some in zip(files, maps, strict=True):
                file[done : done + len(some)] = some
            done += len(pictures)
            if step % _FLUSH_EVERY == _FLUSH_EVERY - 1 or done == len(manifest):
                for file in files:
                    file.flush()
                write_json(done_file, done)
            if progress:
                progress(done, len(manifest), "pictures through the trunk")


def _open(path: Path, rows: int, some: NDArray[np.float16], done: int) -> "np.memmap":  # type: ignore[type-arg]
    if done:
        return np.load(path, mmap_mode="r+")  # type: ignore[no-any-return]
    return open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, *some.shape[1:]))  # type: ignore[return-value]

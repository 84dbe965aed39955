"""The appearance of images in short, by which copies are found that are no equal bytes: another size, format or crop."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from model.data.images import crop, decode_image
from model.data.manifest import Manifest
from model.prefetching import prefetch
from model.progress import Progress

THUMB = 16
"""Side of the grey thumbnail by which near duplicates are confirmed."""
BITS = 6
"""Maximum number of the 64 bits of two difference hashes that may differ."""
CORRELATION = 0.97
"""Least correlation of two grey thumbnails; flat ones, which correlate with nothing, must have the same grey instead."""
FLAT = 2.0
"""Standard deviation of a thumbnail's greys below which it is flat, and the maximum difference of two equal greys."""
COLOUR = 24
"""Maximum difference of two mean colours in each channel, of 255."""
QUERIES = 64
_PAIRS = 65_536
_THREADS = 4


@dataclass(frozen=True)
class Appearances:
    """The appearances of samples, row by row.

    Attributes:
        dhash: (N, 8) uint8, difference hash: one bit for each of 8 x 8 cells, whether it is brighter than its right neighbour.
        thumbs: (N, 256) uint8, grey thumbnail.
        colours: (N, 3) uint8, mean colour.
    """

    dhash: NDArray[np.uint8]
    thumbs: NDArray[np.uint8]
    colours: NDArray[np.uint8]

    @classmethod
    def empty(cls, samples: int) -> "Appearances":
        """Appearances that are still to be entered."""
        return cls(
            np.zeros((samples, 8), np.uint8), np.zeros((samples, THUMB * THUMB), np.uint8), np.zeros((samples, 3), np.uint8)
        )

    def enter(self, row: int, image: Tensor) -> None:
        """Enter the appearance of a sample, an image (3, H, W) uint8."""
        step = max(1, min(image.shape[1:]) // 128)
        small = image[:, ::step, ::step].float()
        grey = small.mean(0, keepdim=True)
        cells = adaptive_avg_pool2d(grey, (8, 9))[0].numpy()
        self.dhash[row] = np.packbits(cells[:, :-1] > cells[:, 1:])
        self.thumbs[row] = adaptive_avg_pool2d(grey, (THUMB, THUMB))[0].round().to(torch.uint8).numpy().ravel()
        self.colours[row] = small.mean((1, 2)).round().to(torch.uint8).numpy()

    def alike(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pairs of `rows` that look the same, the earlier first: hashes that are near, then alike thumbnails and colours."""
        if not len(rows):
            return
        index = faiss.IndexBinaryFlat(64)
        hashes = np.ascontiguousarray(self.dhash[rows])
        index.add(hashes)
        for start in range(0, len(rows), QUERIES):
            limits, _, hits = index.range_search(hashes[start : start + QUERIES], BITS + 1)
            queries = np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits.astype(np.int64)).astype(np.int64))
            later = hits > queries
            one, other = rows[queries[later]], rows[hits[later]]
            for part in range(0, len(one), _PAIRS):
                left, right = one[part : part + _PAIRS], other[part : part + _PAIRS]
                same = self._looks_same(left, right)
                yield left[same], right[same]

    def _looks_same(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(P,) whether two thumbnails agree: by their correlation, or by their grey if both are flat."""
        colour = np.abs(self.colours[one].astype(np.int16) - self.colours[other]).max(1, initial=0) <= COLOUR
        one, other = one[colour], other[colour]
        left, right = self.thumbs[one].astype(np.float32), self.thumbs[other].astype(np.float32)
        means = left.mean(1, keepdims=True), right.mean(1, keepdims=True)
        left, right = left - means[0], right - means[1]
        spread = np.sqrt((left**2).mean(1)), np.sqrt((right**2).mean(1))
        correlation = (left * right).mean(1) / np.maximum(spread[0] * spread[1], 1e-6)
        flat = np.maximum(*spread) < FLAT
        same_grey = np.abs(means[0] - means[1])[:, 0] <= FLAT
        colour[colour] = np.where(flat, same_grey, correlation >= CORRELATION)
        return colour


def appearances_of(manifest: Manifest, progress: Progress | None = None) -> Appearances:
    """The appearances of the samples of a data set, whose images are decoded once each.

    Args:
        manifest: The samples.
        progress: Called after every image.

    Raises:
        InvalidInput: An image is damaged.
    """
    found = Appearances.empty(len(manifest))
    _, files = np.unique(manifest.paths, return_inverse=True)
    order = np.argsort(files, kind="stable")
    images = np.split(order, np.flatnonzero(np.diff(files[order])) + 1)
    for done, _ in enumerate(prefetch((partial(_enter_image, found, manifest, rows) for rows in images), _THREADS), 1):
        if progress:
            progress(done, len(images), "images looked at")
    return found


def _enter_image(found: Appearances, manifest: Manifest, rows: NDArray[np.int64]) -> None:
    """Enter the samples of one image."""
    image = decode_image((manifest.folder / str(manifest.paths[rows[0]])).read_bytes())
    for row in rows.tolist():
        box = manifest.box(row)
        found.enter(row, image if box is None else crop(image, box))

"""Batches of a manifest's images, decoded in threads ahead of their use."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import load_image, normalise
from model.data.manifest import Manifest
from model.networks.trunk import Trunk
from model.prefetching import prefetch

BATCH = 64
_THREADS = 2


def decoded_batches(manifest: Manifest, rows: NDArray[np.int64], size: int) -> Iterator[Tensor]:
    """Decode `rows` in order and yield batches (B, 3, size, size) uint8."""
    images = prefetch((partial(_load, manifest, int(row), size) for row in rows), _THREADS)
    while batch := list(islice(images, BATCH)):
        yield torch.stack(batch)


def normalised_batches(manifest: Manifest, rows: NDArray[np.int64], trunk: Trunk, size: int) -> Iterator[Tensor]:
    """Decode `rows` in order and yield batches (B, 3, size, size) float32, normalised for the trunk."""
    return (normalise(images, trunk.mean, trunk.std) for images in decoded_batches(manifest, rows, size))


def _load(manifest: Manifest, row: int, size: int) -> Tensor:
    return load_image(manifest.folder / str(manifest.paths[row]), size, manifest.box(row))

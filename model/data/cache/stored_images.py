"""Decoded images on disk, a little larger than the trunk's input: a finetuned trunk reads crops of them in every epoch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.cache.stored_arrays import stored_arrays
from model.data.image_batches import decoded_batches
from model.data.images import DECODER
from model.data.manifest import Manifest
from model.files import sha256_json
from model.progress import Progress


def images_folder(work: Path, data_md5: str, side: int) -> Path:
    """The cache of some data's images at a side in pixels."""
    return work / "images" / sha256_json([data_md5, side, DECODER])[:16]


def stored_images(manifest: Manifest, side: int, cache: Path, progress: Progress | None = None) -> NDArray[np.uint8]:
    """The image of every row, (N, side, side, 3) uint8, memory-mapped, squeezed to a square as a trunk sees it.

    Args:
        manifest: Samples, in the order of the images.
        side: Side of the square in pixels.
        cache: A folder of this manifest and side alone; what it lacks is decoded into it.
        progress: Called after every batch.
    """

    def batches(done: int) -> Iterator[tuple[NDArray[np.uint8]]]:
        for images in decoded_batches(manifest, np.arange(done, len(manifest)), side):
            yield (images.permute(0, 2, 3, 1).numpy(),)

    def report(done: int) -> None:
        if progress:
            progress(done, len(manifest), "images decoded")

    (images,) = stored_arrays(cache, ("images",), len(manifest), batches, report)
    return images

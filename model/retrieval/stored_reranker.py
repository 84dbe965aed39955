"""The reranker of a release on disk: one safetensors file with the local features of the whole gallery. No pickle.

descriptors  (K, D) float16, of all keypoints of the gallery, image by image
positions    (K, 2) float16
scales       (K,)   float16
scores       (K,)   float16
offsets      (N + 1,) int64: the keypoints of row n are those from offsets[n] to offsets[n + 1]
reduction    (L, D) float32, where the local head's vectors are longer than 128
metadata     embedding_space_id, ratio
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.errors import Conflict, InvalidInput
from model.retrieval.local_features import LocalFeatures
from model.retrieval.reranker import Reranker

_COLUMNS = ("positions", "scales", "scores", "descriptors")
_ARRAYS = (*_COLUMNS, "offsets")
_REMEDY = "Fetch the release again, or run the pipeline again."


@dataclass(frozen=True)
class StoredFeatures:
    """Local features of N images in a few arrays; those of one image are cut out when they are asked for.

    Attributes:
        positions, scales, scores, descriptors: Columns of `LocalFeatures`, float16, of all images one after the other.
        offsets: (N + 1,) int64; the keypoints of row n are those from offsets[n] to offsets[n + 1].
        size: Side of the trunk's input in pixels.
    """

    positions: NDArray[np.float16]
    scales: NDArray[np.float16]
    scores: NDArray[np.float16]
    descriptors: NDArray[np.float16]
    offsets: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int, /) -> LocalFeatures:
        """The local features of one image, float32."""
        cut = slice(self.offsets[row], self.offsets[row + 1])
        return LocalFeatures(**{name: getattr(self, name)[cut].astype(np.float32) for name in _COLUMNS}, size=self.size)


def pack(images: Iterable[LocalFeatures], size: int) -> StoredFeatures:
    """The local features of images in a few arrays. They are halved one by one, as they come.

    Raises:
        InvalidInput: There are no images.
    """
    halved = [[getattr(image, name).astype(np.float16) for name in _COLUMNS] for image in images]
    if not halved:
        raise InvalidInput("A gallery without images has no local features.")
    columns = {name: np.concatenate(column) for name, column in zip(_COLUMNS, zip(*halved, strict=True), strict=True)}
    return StoredFeatures(**columns, offsets=np.cumsum([0, *(len(image[0]) for image in halved)], dtype=np.int64), size=size)


def joined(parts: Sequence[StoredFeatures]) -> StoredFeatures:
    """The local features of several runs of images, as `pack` gives them of all images.

    Raises:
        InvalidInput: There are no images.
    """
    if not parts:
        raise InvalidInput("A gallery without images has no local features.")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    keypoints = np.concatenate([np.diff(part.offsets) for part in parts])
    return StoredFeatures(**columns, offsets=np.cumsum([0, *keypoints], dtype=np.int64), size=parts[0].size)


def save_reranker(file: Path, features: StoredFeatures, reduction: NDArray[np.float32] | None, ratio: float, space: str) -> None:
    """Write what re-ranks a gallery, with the id of its embedding space."""
    arrays = {name: getattr(features, name) for name in _ARRAYS}
    if reduction is not None:
        arrays["reduction"] = np.ascontiguousarray(reduction)
    save_file(arrays, file, metadata={"embedding_space_id": space, "ratio": repr(ratio)})
    _sort_metadata(file)


def _sort_metadata(file: Path) -> None:
    """Write the metadata of a safetensors file in their order: the library's differs from time to time, and so would the hash."""
    with file.open("r+b") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        stream.seek(8)
        stream.write(json.dumps(header, separators=(",", ":")).encode().ljust(length))


def load_reranker(file: Path, *, space: str, images: int, size: int) -> Reranker:
    """Read what `save_reranker` wrote.

    Args:
        file: The file.
        space: Id of the embedding space that it must be of.
        images: Number of images of the gallery.
        size: Side of the trunk's input in pixels.

    Raises:
        Conflict: The file is of another embedding space.
        InvalidInput: The file holds anything else than the local features of such a gallery.
    """
    try:
        with safe_open(file, framework="np") as stored:
            stated = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # a file, not a dict
        features, ratio = StoredFeatures(**{name: arrays[name] for name in _ARRAYS}, size=size), float(stated["ratio"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{file.name} does not hold local features.", _REMEDY) from error
    if stated.get("embedding_space_id") != space:
        raise Conflict(f"{file.name} does not hold local features of this embedding space.", _REMEDY)
    if not _consistent(features, images) or not 0 < ratio <= 1:
        raise InvalidInput(f"{file.name} does not hold the local features of this gallery.", _REMEDY)
    return Reranker(features, arrays.get("reduction"), ratio)


def _consistent(features: StoredFeatures, images: int) -> bool:
    offsets, descriptors = features.offsets, features.descriptors
    if offsets.dtype != np.int64 or offsets.shape != (images + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        return False
    keypoints = (int(offsets[-1]),)
    others = (features.positions.shape, features.scales.shape, features.scores.shape, descriptors.shape[:-1])
    halves = all(getattr(features, name).dtype == np.float16 for name in _COLUMNS)
    return others == ((*keypoints, 2), keypoints, keypoints, keypoints) and halves

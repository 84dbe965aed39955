"""Exemplars on disk: one safetensors file. No pickle.

labels, sizes, outlines, offsets, positions, scales, angles, descriptors: columns of `model.detection.exemplars.Exemplars`
axes_mean, axes_directions     (128,) and (128, D) float32
background                     (B, D) float16
head.<name>                    (N, D) float16 for each head
places                         (N, R, R, D) float16, where the network has a local head
lightness                      (N, 40, 40) uint8
metadata                       one entry, `exemplars`, as JSON: embedding_space_id, classes, ids, sources, background_sources,
                               labelling. The order of several entries, and so the file's hash, would not be stable.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.detection.exemplars import Exemplars
from model.detection.keypoints import LENGTH, Axes
from model.detection.masks import CORNERS
from model.detection.references import GRID, References
from model.errors import Conflict, InvalidInput
from model.schemas.labelling import Labelling

LARGEST = 512 * 2**20
"""Largest file that is read, in bytes."""
_REMEDY = "Fetch the release again, or run the pipeline again."
_PLAIN = ("labels", "sizes", "outlines", "offsets", "positions", "scales", "angles", "descriptors", "background")
_HEAD, _ENTRY = "head.", "exemplars"
_KINDS = {
    "labels": np.int64,
    "offsets": np.int64,
    "descriptors": np.float16,
    "background": np.float16,
    "places": np.float16,
    "lightness": np.uint8,
}

Arrays = dict[str, NDArray[Any]]


def save_exemplars(file: Path, exemplars: Exemplars, labelling: Labelling, space: str) -> None:
    """Write exemplars and how their detections are labelled and scored, with the id of the embedding space."""
    references = exemplars.references
    arrays: Arrays = {name: getattr(exemplars, name) for name in _PLAIN}
    arrays |= {"axes_mean": exemplars.axes.mean, "axes_directions": exemplars.axes.directions, "lightness": references.lightness}
    arrays |= {_HEAD + name: vectors.astype(np.float16) for name, vectors in references.heads.items()}
    if references.places is not None:
        arrays["places"] = references.places.astype(np.float16)
    named = {name: getattr(exemplars, name) for name in ("ids", "sources", "background_sources")}
    stated = {
        "embedding_space_id": space,
        "classes": list(exemplars.classes),
        "labelling": labelling.model_dump(mode="json"),
        **{name: values.tolist() for name, values in named.items()},
    }
    metadata = {_ENTRY: json.dumps(stated, sort_keys=True)}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file, metadata=metadata)


def load_exemplars(file: Path, *, space: str) -> tuple[Exemplars, Labelling]:
    """Read what `save_exemplars` wrote.

    Args:
        file: The file.
        space: Id of the embedding space that it must be of.

    Raises:
        Conflict: The exemplars are of another space.
        InvalidInput: The file is too large, or holds anything else than exemplars.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise InvalidInput(f"{file.name} is larger than {LARGEST // 2**20} MiB.", _REMEDY)
        with safe_open(file, framework="np") as stored:
            stated = json.loads((stored.metadata() or {})[_ENTRY])
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # a file, not a dict
        labelling = Labelling.model_validate_json(json.dumps(stated["labelling"]))
        exemplars = _exemplars(arrays, stated)
        sound = _consistent(exemplars)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, ValidationError) as error:
        raise InvalidInput(f"{file.name} does not hold exemplars.", _REMEDY) from error
    if stated.get("embedding_space_id") != space:
        raise Conflict(f"{file.name} does not hold exemplars of this embedding space.", _REMEDY)
    if not sound:
        raise InvalidInput(f"{file.name} does not hold exemplars: its arrays do not fit together.", _REMEDY)
    return exemplars, labelling


def _exemplars(arrays: Arrays, stated: dict[str, Any]) -> Exemplars:
    for name, array in arrays.items():
        kind = np.float16 if name.startswith(_HEAD) else _KINDS.get(name, np.float32)
        if array.dtype != kind:
            raise TypeError(name)
    heads = {name.removeprefix(_HEAD): array.astype(np.float32) for name, array in arrays.items() if name.startswith(_HEAD)}
    places = arrays["places"].astype(np.float32) if "places" in arrays else None
    named = {name: np.array(stated[name], dtype=str) for name in ("ids", "sources", "background_sources")}
    return Exemplars(
        classes=tuple(str(name) for name in stated["classes"]),
        axes=Axes(arrays["axes_mean"], arrays["axes_directions"]),
        references=References(heads, places, arrays["lightness"]),
        **{name: arrays[name] for name in _PLAIN},
        **named,
    )


def _consistent(found: Exemplars) -> bool:
    """Whether all arrays are of N exemplars, K keypoints and B background descriptors, and finite."""
    count, references = len(found.labels), found.references
    if found.labels.shape != (count,) or found.offsets.shape != (count + 1,) or not count:
        return False
    if found.offsets[0] != 0 or (found.counts < 1).any() or found.descriptors.ndim != 2 or found.background.ndim != 2:
        return False
    keypoints, dimensions, around = int(found.offsets[-1]), found.descriptors.shape[1], len(found.background)
    shapes = {
        "sizes": (count,),
        "outlines": (count, CORNERS, 2),
        "positions": (keypoints, 2),
        "scales": (keypoints,),
        "angles": (keypoints,),
        "descriptors": (keypoints, dimensions),
        "background": (around, dimensions),
        "ids": (count,),
        "sources": (count,),
        "background_sources": (around,),
    }
    if any(getattr(found, name).shape != shape for name, shape in shapes.items()):
        return False
    places = references.places
    of_network = [
        references.lightness.shape == (count, GRID, GRID),
        places is None or (places.ndim == 4 and len(places) == count),
    ]
    of_network += [vectors.ndim == 2 and len(vectors) == count for vectors in references.heads.values()]
    axes = found.axes.mean.shape == (LENGTH,) and found.axes.directions.shape == (LENGTH, dimensions)
    labels = found.labels.min() >= 0 and found.labels.max() < len(found.classes)
    positive = (found.sizes > 0).all() and (found.scales > 0).all()
    return all(of_network) and axes and bool(labels) and bool(positive) and _finite(found)


def _finite(found: Exemplars) -> bool:
    references = found.references
    arrays: list[NDArray[Any]] = [
        found.sizes,
        found.outlines,
        found.positions,
        found.scales,
        found.angles,
        found.descriptors,
        found.background,
    ]
    arrays += [found.axes.mean, found.axes.directions, *references.heads.values()]
    arrays += [] if references.places is None else [references.places]
    return all(bool(np.isfinite(array).all()) for array in arrays)

"""The detector of a data set: what is enrolled, and the scenes by which its scores are calibrated, and it is evaluated."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import decode_image
from model.data.manifest import Box, Manifest
from model.data.spread import evenly, spread
from model.detection.calibration import fit_labelling
from model.detection.cutouts import Sample
from model.detection.detector import Detector
from model.detection.enrolling import BACKGROUND, TOTAL, enrol_objects
from model.detection.exemplars import Exemplars, join
from model.detection.judging import Scene, judge_scenes
from model.detection.labelling import default_labelling
from model.detection.references import Describer

Rows = NDArray[np.int64]

VIEWS = 6
"""Whole images of a label that are enrolled; there may be more boxes, as each shows less."""
BOXES = 80
"""Boxes in scenes from which on no further scene is needed for the calibration."""
SCENES = 48
"""Maximum scenes of the calibration, and of an evaluation."""


def has_boxes(manifest: Manifest) -> bool:
    """Whether the data say where objects are: then they are of objects, and what is enrolled can be checked in scenes."""
    return bool((~np.isnan(manifest.boxes[:, 0])).any())


def make_detector(manifest: Manifest, describer: Describer) -> Detector:
    """Enrol the objects of a data set, and calibrate scores on its scenes, or on its boxes.

    Whole images and boxes of train, validation and test samples are enrolled; distractors are not. Samples of the split `scene`
    are never enrolled, so scores are calibrated on them where there are any. Otherwise they are calibrated on images with boxes,
    with nothing enrolled from the same image. Every other scene is kept for `evaluation_scenes`. Without any scene, the stored
    coefficients are kept, uncalibrated.

    Raises:
        InvalidInput: No image has a keypoint.
    """
    exemplars = enrol_objects(_samples(manifest, _enrolled(manifest, manifest.rows("train", "val", "test"))), describer)
    start = default_labelling(describer.features)
    detector = Detector(exemplars, describer, start)
    scenes = _calibration_scenes(manifest)
    return Detector(exemplars, describer, fit_labelling(judge_scenes(detector, scenes), start)) if scenes else detector


def enrol_rows(
    manifest: Manifest, rows: Rows, ids: NDArray[np.str_], describer: Describer, *, beside: Exemplars | None
) -> Exemplars:
    """Enrol objects of a data set beside those that are enrolled already. Nothing is trained or calibrated.

    Args:
        manifest: The samples.
        rows: (R,) ascending rows that may be enrolled; a few whole images of each label are.
        ids: (N,) ids that the exemplars get, by row of the manifest.
        describer: The stored network.
        beside: Exemplars that are there already, which are part of the result; None if there are none.

    Raises:
        InvalidInput: No object can be enrolled: no image has a keypoint, or there is no room.
    """
    found = enrol_objects(_samples(manifest, _enrolled(manifest, rows), ids), describer, beside=beside)
    return found if beside is None else join(beside, found, BACKGROUND)


def _enrolled(manifest: Manifest, rows: Rows) -> Rows:
    """Of some rows those to enrol, ascending: a few whole images of each label, and all boxes of as many images as are needed."""
    boxed = ~np.isnan(manifest.boxes[rows, 0])
    whole = rows[~boxed]
    whole = _few_of_each(whole[spread(manifest.labels[whole], len(whole))], manifest.labels)[:TOTAL]
    chosen = rows[boxed][spread(manifest.labels[rows[boxed]], TOTAL)]
    beside = rows[boxed & np.isin(manifest.paths[rows], manifest.paths[chosen])]
    return np.sort(np.concatenate([whole, beside]))


def _few_of_each(rows: Rows, labels: Rows) -> Rows:
    """The first `VIEWS` rows of each label."""
    taken: Counter[int] = Counter()
    kept = []
    for row in rows.tolist():
        taken[int(labels[row])] += 1
        if taken[int(labels[row])] <= VIEWS:
            kept.append(row)
    return np.array(kept, np.int64)


def _samples(manifest: Manifest, rows: Rows, ids: NDArray[np.str_] | None = None) -> Iterator[Sample]:
    """Samples with their images, those of one image one after the other. Each image is decoded once."""
    names = manifest.ids if ids is None else ids
    known: tuple[str, Tensor] | None = None
    for row in rows[np.argsort(manifest.paths[rows], kind="stable")].tolist():
        path = str(manifest.paths[row])
        if known is None or known[0] != path:
            known = path, _load(manifest.folder / path)
        yield Sample(known[1], manifest.box(row), manifest.classes[manifest.labels[row]], str(names[row]))


def evaluation_scenes(manifest: Manifest) -> list[Scene]:
    """Scenes whose boxes are known and on which `make_detector` calibrated nothing, at most `SCENES`, spread over the data."""
    paths = _scene_paths(manifest)[1::2]
    return [_scene(manifest, paths[row]) for row in evenly(len(paths), SCENES).tolist()]


def _calibration_scenes(manifest: Manifest) -> list[Scene]:
    """Scenes in random order, until there are enough boxes, sorted by name."""
    paths = _scene_paths(manifest)[::2]
    chosen: list[Scene] = []
    for path in np.random.default_rng(0).permutation(np.array(paths, dtype=str)).tolist():
        if len(chosen) == SCENES or sum(len(scene.truth) for scene in chosen) >= BOXES:
            break
        chosen.append(_scene(manifest, path))
    return sorted(chosen, key=lambda scene: scene.id)


def _scene_paths(manifest: Manifest) -> list[str]:
    """Images with boxes, sorted by name: of the split `scene` if there are any, else of what may be enrolled."""
    return sorted(set(manifest.paths[_boxed_rows(manifest)].tolist()))


def _boxed_rows(manifest: Manifest) -> Rows:
    rows = manifest.rows("scene")
    if not len(rows):
        rows = manifest.rows("train", "val", "test")
    return rows[~np.isnan(manifest.boxes[rows, 0])]


def _scene(manifest: Manifest, path: str) -> Scene:
    rows = _boxed_rows(manifest)
    return Scene(path, partial(_load, manifest.folder / path), _truth(manifest, rows[manifest.paths[rows] == path]))


def _truth(manifest: Manifest, rows: Rows) -> Sequence[tuple[str, Box]]:
    boxes = [(manifest.classes[manifest.labels[row]], manifest.box(int(row))) for row in rows]
    return [(label, box) for label, box in boxes if box is not None]


def _load(file: Path) -> Tensor:
    return decode_image(file.read_bytes())

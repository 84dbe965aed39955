"""Class-disjoint folds: which samples a trial trains on, and which classes it is judged on.

Cross-validation (Stone, JRSS B 1974) over classes, because a retrieval network must serve classes that it has not seen. The
held-out classes of a fold are searched among themselves. The fold's training images are no distractors: they lie closer together
than unseen images do, and settings that were chosen with them were measured to be worse (docs/decisions/0003-multi-head.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest

HELD_OUT_IMAGES = 2000
"""Held-out images of a fold, about at most: they bound the time of its validation for any number of images."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """The rows of a manifest in one fold.

    Attributes:
        train: Rows to train on.
        held_out: Rows of whole classes that are not in `train`; each queries the others.
    """

    train: Rows
    held_out: Rows


def class_folds(manifest: Manifest, count: int, seed: int) -> list[Fold]:
    """The folds of a manifest's training and validation classes.

    Args:
        manifest: Samples with the splits `train` and `val`.
        count: Number of folds; 1 trains on the training classes and holds the validation classes out.
        seed: Seed of the order in which classes are dealt to the folds.

    Returns:
        At most `count` folds, each with two held-out classes and two to train on; empty if there are too few classes.
    """
    if count == 1:
        sides = [(manifest.rows("train"), manifest.rows("val"))]
    else:
        rows = manifest.rows("train", "val")
        classes = np.random.default_rng(seed).permutation(np.unique(manifest.labels[rows]))
        dealt = min(count, len(classes) // 2)
        outside = [np.isin(manifest.labels[rows], classes[number::dealt]) for number in range(dealt)]
        sides = [(rows[~held], rows[held]) for held in outside]
    labels = manifest.labels
    return [Fold(inside, _whole_classes(labels, held)) for inside, held in sides if _usable(labels, inside, held)]


def _usable(labels: Rows, train: Rows, held_out: Rows) -> bool:
    """Whether there are two classes to train on, and held-out images that can be found or missed."""
    classes, counts = np.unique(labels[held_out], return_counts=True)
    return len(np.unique(labels[train])) > 1 and len(classes) > 1 and bool((counts > 1).any())


def _whole_classes(labels: Rows, rows: Rows) -> Rows:
    """The rows of as many classes, evenly chosen, as have about `HELD_OUT_IMAGES` rows together; of at least two."""
    classes = np.unique(labels[rows])
    wanted = len(classes) * HELD_OUT_IMAGES // len(rows) if len(rows) > HELD_OUT_IMAGES else len(classes)
    chosen = classes[np.unique(np.linspace(0, len(classes) - 1, max(2, wanted)).astype(int))]
    return rows[np.isin(labels[rows], chosen)]

"""Class-disjoint folds: which samples a trial trains on, and which classes it is judged on.

Cross-validation (Stone, JRSS B 1974) over classes, because a retrieval network must serve classes that it has not seen. The
held-out classes of a fold are searched among themselves and the fold's training images, which makes the search as hard as with
all of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest

QUERIES, GALLERY = 2000, 10_000
"""Maximum held-out images, and maximum images searched, of one fold: the budget of a validation, for any number of images."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """The rows of a manifest in one fold.

    Attributes:
        train: Rows to train on.
        held_out: Rows of whole classes that are not in `train`: the queries, and their right answers.
        distractors: Rows of `train` that are searched as well.
    """

    train: Rows
    held_out: Rows
    distractors: Rows


def class_folds(manifest: Manifest, count: int, seed: int) -> list[Fold]:
    """The folds of a manifest's training and validation classes.

    Args:
        manifest: Samples with the splits `train` and `val`.
        count: Number of folds; 1 trains on the training classes and holds the validation classes out.
        seed: Seed of the order in which classes are dealt to the folds.

    Returns:
        At most `count` folds, each with at least one held-out class and two to train on; empty if there are too few classes.
    """
    train, val = manifest.rows("train"), manifest.rows("val")
    if count == 1:
        sides = [(train, val)]
    else:
        rows = np.sort(np.concatenate([train, val]))
        classes = np.random.default_rng(seed).permutation(np.unique(manifest.labels[rows]))
        dealt = min(count, len(classes)) if len(classes) > 2 else 0
        outside = [np.isin(manifest.labels[rows], classes[number::dealt]) for number in range(dealt)]
        sides = [(rows[~held], rows[held]) for held in outside]
    return [_fold(manifest.labels, inside, held) for inside, held in sides if _usable(manifest.labels, inside, held)]


def _usable(labels: Rows, train: Rows, held_out: Rows) -> bool:
    """Whether there are two classes to train on, and a query that has a right answer."""
    _, counts = np.unique(labels[held_out], return_counts=True)
    return len(np.unique(labels[train])) > 1 and bool((counts > 1).any())


def _fold(labels: Rows, train: Rows, held_out: Rows) -> Fold:
    held_out = _whole_classes(labels, held_out, QUERIES)
    room = max(0, GALLERY - len(held_out))
    distractors = train if len(train) <= room else train[np.unique(np.linspace(0, len(train) - 1, room).astype(int))]
    return Fold(train, held_out, distractors)


def _whole_classes(labels: Rows, rows: Rows, most: int) -> Rows:
    """As many classes, evenly chosen, as have at most about `most` rows together; at least two."""
    classes = np.unique(labels[rows])
    wanted = len(classes) * most // len(rows) if len(rows) > most else len(classes)
    chosen = classes[np.unique(np.linspace(0, len(classes) - 1, max(2, wanted)).astype(int))]
    return rows[np.isin(labels[rows], chosen)]

"""Thresholds at stated false-accept rates, from images of held-out classes, embedded by networks that did not see the classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.evaluation.bootstrap import bootstrap_interval
from model.schemas.calibration import BINS, Calibration, IdentifyThreshold, Reference, VerifyThreshold, bin_of

FALSE_ACCEPT_RATES = (0.01, 0.001)
_QUERIES = 2000


@dataclass(frozen=True)
class _Scores:
    """Similarities of the queries of all folds.

    Attributes:
        like: (L,) of pairs of one class, less the offsets of both.
        unlike: (U,) of pairs of two classes, less the offsets of both.
        query: (U,) number of the query in each unlike pair.
        strangers: (Q,) of each query to its best match in another class.
        best: (Q,) of each query to its best match in any class.
        margin: (Q,) that less the similarity of the best match in a class other than that match's.
        classes: (Q,) class of each query.
    """

    like: NDArray[np.float32]
    unlike: NDArray[np.float32]
    query: NDArray[np.int64]
    strangers: NDArray[np.float32]
    best: NDArray[np.float32]
    margin: NDArray[np.float32]
    classes: NDArray[np.int64]


def calibrate(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    offsets: NDArray[np.float32] | None = None,
) -> Calibration:
    """Similarity thresholds above which two images count as images of one class.

    Args:
        vectors: (N, D) float32, L2-normalised, of held-out classes.
        labels: (N,) classes of the vectors.
        folds: (N,) folds of the vectors. Each fold has a network of its own, so only vectors of one fold are compared.
        offsets: (N,) offsets of the vectors by the training classes of their folds, for the thresholds of `verify`: see
            `model.retrieval.cohort`. None: similarities are compared as they are.

    Returns:
        `verify` holds for each rate the threshold that this share of negative pairs exceeds, and the share of positive pairs
        above it. `identify` holds for each rate the threshold that the best match in *other* classes exceeds for this share of
        images; such a match stands for an object that is not in the gallery. Each rate has the interval of a bootstrap that draws
        whole classes. Both are empty for fewer than two classes.
    """
    known = np.zeros(len(vectors), np.float32) if offsets is None else offsets
    parts = [folds == fold for fold in np.unique(folds)]
    scores = _join([_scores(vectors[part], labels[part], known[part]) for part in parts])
    if not scores.unlike.size:
        return Calibration()
    identify = {str(rate): _identify(scores, rate) for rate in FALSE_ACCEPT_RATES}
    return Calibration(
        verify={str(rate): _verify(scores, rate) for rate in FALSE_ACCEPT_RATES},
        identify=identify,
        reference=_reference(scores, identify[str(FALSE_ACCEPT_RATES[0])].threshold),
        pairs=int(scores.unlike.size),
        normalised=offsets is not None,
    )


def _scores(vectors: NDArray[np.float32], labels: NDArray[np.int64], offsets: NDArray[np.float32]) -> _Scores:
    rows = np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).astype(int)
    scores = vectors[rows] @ vectors.T
    same = labels[rows][:, None] == labels[None, :]
    itself = rows[:, None] == np.arange(len(vectors))[None, :]
    strangers = np.where(same, -1.0, scores).max(axis=1, initial=-1.0)
    others = np.where(itself, np.float32(-1), scores)
    best = others.max(axis=1, initial=-1.0)
    found = labels[others.argmax(axis=1)] if others.size else labels[rows]
    runner_up = np.where(found[:, None] == labels[None, :], np.float32(-1), others).max(axis=1, initial=-1.0)
    pairs = scores - offsets[rows][:, None] - offsets[None, :]
    return _Scores(
        like=pairs[same & ~itself],
        unlike=pairs[~same],
        query=np.nonzero(~same)[0],
        strangers=strangers,
        best=best,
        margin=best - runner_up,
        classes=labels[rows],
    )


def _join(folds: list[_Scores]) -> _Scores:
    offsets = np.cumsum([0, *(len(fold.strangers) for fold in folds)])
    return _Scores(
        like=np.concatenate([np.empty(0, np.float32), *(fold.like for fold in folds)]),
        unlike=np.concatenate([np.empty(0, np.float32), *(fold.unlike for fold in folds)]),
        query=np.concatenate([np.empty(0, np.int64), *(at + fold.query for at, fold in zip(offsets, folds, strict=False))]),
        strangers=np.concatenate([np.empty(0, np.float32), *(fold.strangers for fold in folds)]),
        best=np.concatenate([np.empty(0, np.float32), *(fold.best for fold in folds)]),
        margin=np.concatenate([np.empty(0, np.float32), *(fold.margin for fold in folds)]),
        classes=np.concatenate([np.empty(0, np.int64), *(fold.classes for fold in folds)]),
    )


def _reference(scores: _Scores, threshold: float) -> Reference:
    return Reference(
        queries=len(scores.best),
        best_score=histogram(scores.best),
        margin=histogram(scores.margin),
        unknown=float((scores.best <= threshold).mean()),
    )


def histogram(values: NDArray[np.float32]) -> tuple[int, ...]:
    """Counts of similarities or margins in the bins of a `Reference`."""
    return tuple(np.bincount([bin_of(value) for value in values.tolist()], minlength=BINS).tolist())


def _verify(scores: _Scores, rate: float) -> VerifyThreshold:
    threshold = _threshold(scores.unlike, rate)
    pairs = np.bincount(scores.query, minlength=len(scores.classes))
    passed = np.bincount(scores.query, weights=scores.unlike > threshold, minlength=len(scores.classes))
    paired = pairs > 0
    return VerifyThreshold(
        threshold=threshold,
        true_accept_rate=float((scores.like > threshold).mean()) if scores.like.size else 0.0,
        rate_interval=bootstrap_interval(passed[paired] / pairs[paired], scores.classes[paired]),
    )


def _identify(scores: _Scores, rate: float) -> IdentifyThreshold:
    threshold = _threshold(scores.strangers, rate)
    passed = (scores.strangers > threshold).astype(float)
    return IdentifyThreshold(threshold=threshold, rate_interval=bootstrap_interval(passed, scores.classes))


def _threshold(scores: NDArray[np.float32], rate: float) -> float:
    return float(np.quantile(scores, 1 - rate, method="higher"))

"""Thresholds at stated false-accept rates, from images of held-out classes, embedded by networks that did not see the classes."""

import numpy as np
from numpy.typing import NDArray

from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold

FALSE_ACCEPT_RATES = (0.01, 0.001)
_QUERIES = 2000


def calibrate(vectors: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]) -> Calibration:
    """Similarity thresholds above which two images count as images of one class.

    Args:
        vectors: (N, D) float32, L2-normalised, of held-out classes.
        labels: (N,) classes of the vectors.
        folds: (N,) folds of the vectors. Each fold has a network of its own, so only vectors of one fold are compared.

    Returns:
        `verify` holds for each rate the threshold that this share of negative pairs exceeds, and the share of positive pairs
        above it. `identify` holds for each rate the threshold that the best match in *other* classes exceeds for this share of
        images; such a match stands for an object that is not in the gallery. Both are empty for fewer than two classes.
    """
    pairs = [_pairs(vectors[folds == fold], labels[folds == fold]) for fold in np.unique(folds)]
    if not any(unlike.size for _, unlike, _ in pairs):
        return Calibration()
    like, unlike, strangers = (np.concatenate(scores) for scores in zip(*pairs, strict=True))
    return Calibration(
        verify={str(rate): _verify(like, unlike, rate) for rate in FALSE_ACCEPT_RATES},
        identify={str(rate): IdentifyThreshold(threshold=_threshold(strangers, rate)) for rate in FALSE_ACCEPT_RATES},
        pairs=int(unlike.size),
    )


def _pairs(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
    """The similarities of like pairs, of unlike pairs, and of each query to its best match in another class."""
    rows = np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).astype(int)
    scores = vectors[rows] @ vectors.T
    same = labels[rows][:, None] == labels[None, :]
    itself = rows[:, None] == np.arange(len(vectors))[None, :]
    strangers = np.where(same, -1.0, scores).max(axis=1)
    return scores[same & ~itself], scores[~same], strangers


def _verify(like: NDArray[np.float32], unlike: NDArray[np.float32], rate: float) -> VerifyThreshold:
    threshold = _threshold(unlike, rate)
    accepted = float((like > threshold).mean()) if like.size else 0.0
    return VerifyThreshold(threshold=threshold, true_accept_rate=accepted)


def _threshold(scores: NDArray[np.float32], rate: float) -> float:
    return float(np.quantile(scores, 1 - rate, method="higher"))

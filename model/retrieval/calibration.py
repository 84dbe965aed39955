"""Thresholds at stated false-accept rates, from the validation classes, which the network was not trained on."""

import numpy as np
from numpy.typing import NDArray

from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold

FALSE_ACCEPT_RATES = (0.01, 0.001)
_QUERIES = 2000


def calibrate(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Calibration:
    """Similarity thresholds above which two images count as images of one class.

    Args:
        vectors: (N, D) float32, L2-normalised, of the validation classes.
        labels: (N,) classes of the vectors.

    Returns:
        `verify` holds for each rate the threshold that this share of negative pairs exceeds, and the share of positive pairs
        above it. `identify` holds for each rate the threshold that the best match in *other* classes exceeds for this share of
        images; such a match stands for an object that is not in the gallery. Both are empty for fewer than two classes.
    """
    rows = np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).astype(int) if len(vectors) else np.empty(0, int)
    if len(np.unique(labels)) < 2:
        return Calibration()
    scores = vectors[rows] @ vectors.T
    same = labels[rows][:, None] == labels[None, :]
    itself = rows[:, None] == np.arange(len(vectors))[None, :]
    like, unlike = scores[same & ~itself], scores[~same]
    strangers = np.where(same, -1.0, scores).max(axis=1)
    return Calibration(
        verify={str(rate): _verify(like, unlike, rate) for rate in FALSE_ACCEPT_RATES},
        identify={str(rate): IdentifyThreshold(threshold=_threshold(strangers, rate)) for rate in FALSE_ACCEPT_RATES},
        pairs=int(unlike.size),
    )


def _verify(like: NDArray[np.float32], unlike: NDArray[np.float32], rate: float) -> VerifyThreshold:
    threshold = _threshold(unlike, rate)
    accepted = float((like > threshold).mean()) if like.size else 0.0
    return VerifyThreshold(threshold=threshold, true_accept_rate=accepted)


def _threshold(scores: NDArray[np.float32], rate: float) -> float:
    return float(np.quantile(scores, 1 - rate, method="higher"))

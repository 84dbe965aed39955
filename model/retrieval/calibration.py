"""Thresholds at stated false-accept rates, from the validation classes: classes the network was not trained on."""

import numpy as np
from numpy.typing import NDArray

from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold

FALSE_ACCEPT_RATES = (0.01, 0.001)
_QUERIES = 2000


def calibrate(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Calibration:
    """Similarities above which two images are taken to show the same thing.

    Args:
        vectors: (N, D) float32, L2-normalised, of classes that were not trained on.
        labels: (N,) their classes.

    Returns:
        `verify`: by rate, the threshold that this share of all pairs of unlike images exceeds, and the share of like pairs that
        pass it. `identify`: by rate, the threshold that the best match among *other* classes exceeds for this share of images:
        what an object that is not in the gallery would score. Empty where there are fewer than two classes.
    """
    rows = np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).astype(int) if len(vectors) else np.empty(0, int)
    if len(np.unique(labels)) < 2:
        return Calibration()
    scores = vectors[rows] @ vectors.T
    same = labels[rows][:, None] == labels[None, :]
    themselves = rows[:, None] == np.arange(len(vectors))[None, :]
    like, unlike = scores[same & ~themselves], scores[~same]
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

"""Fitting labels and scores to validation scenes, and stating what the scores are worth there.

Few scenes say little about coefficients, so they are drawn towards the stored ones, which stand for several data sets. Scores are
then put right by two numbers (Platt, 1999), fitted to detections of scenes that the coefficients were not fitted to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.detection.features import Table, columns
from model.detection.labelling import chosen, log_odds, probabilities, scored_table, shares
from model.schemas.labelling import Labelling, ScoreCalibration, ScorePoint

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

FOLDS = 5
PRIOR = 1.0
"""Weight of the stored coefficients, in scenes' candidates."""
SCORES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Scores whose precision is stated."""
_STEPS = 50
_CLOSE, _SHORTEST = 1e-6, 1e-4
_Z = 1.96


@dataclass(frozen=True)
class Judged:
    """The candidates of one validation scene, and which of them are right.

    Attributes:
        features: (C, F) measured features.
        places: (C,) place of each candidate.
        right: (C,) whether its label is that of the true box that its own box overlaps.
        truths: Number of true boxes.
    """

    features: Table
    places: Rows
    right: NDArray[np.bool_]
    truths: int


def fit_labelling(scenes: Sequence[Judged], start: Labelling) -> Labelling:
    """Coefficients and calibration from validation scenes.

    Args:
        scenes: Validation scenes; exemplars cut from a scene must not have proposed its candidates.
        start: Coefficients to start from; its features are those that are used.

    Returns:
        The fitted labelling; `start` if the scenes have no candidate or no true box.
    """
    truths = sum(scene.truths for scene in scenes)
    scenes = [scene for scene in scenes if len(scene.places)]
    if not truths or not any(scene.right.any() for scene in scenes):
        return start
    odds: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    for fold in range(min(FOLDS, len(scenes))):
        fitted = _fit([scene for number, scene in enumerate(scenes) if number % FOLDS != fold] or scenes, start)
        for scene in scenes[fold::FOLDS]:
            values, best = log_odds(fitted, scene.features, scene.places)
            odds.append(values[best])
            right.append(scene.right[best])
    values, hits = np.concatenate(odds), np.concatenate(right)
    slope, offset = _logistic(values[:, None], hits.astype(float), np.array([1.0]), 0.0)
    factor = max(float(slope[0]), 0.05)
    fitted = _fit(scenes, start)
    points = score_points(probabilities(factor * values + offset), hits, truths)
    calibration = ScoreCalibration(scenes=len(scenes), boxes=truths, points=points)
    score = {name: factor * value for name, value in fitted.score.items()}
    return fitted.model_copy(update={"score": score, "bias": factor * fitted.bias + offset, "calibration": calibration})


def _fit(scenes: Sequence[Judged], start: Labelling) -> Labelling:
    names = list(start.choice)
    groups = [group for scene in scenes for group in _contests(scene, names)]
    weights = _conditional(groups, np.array([start.choice[name] for name in names]))
    labelling = start.model_copy(update={"choice": dict(zip(names, weights.tolist(), strict=True))})
    tables, hits = [], []
    for scene in scenes:
        share = shares(labelling, scene.features, scene.places)
        best = chosen(share, scene.places)
        tables.append(scored_table(list(start.score), scene.features, share)[best])
        hits.append(scene.right[best])
    prior = np.array(list(start.score.values()))
    fitted, bias = _logistic(np.concatenate(tables), np.concatenate(hits).astype(float), prior, start.bias)
    return labelling.model_copy(update={"score": dict(zip(start.score, fitted.tolist(), strict=True)), "bias": bias})


def _contests(scene: Judged, names: Sequence[str]) -> list[tuple[Floats, int]]:
    """The places where several labels stand against each other and one is right: their features, and the row of the right one."""
    found = []
    for place in np.unique(scene.places[scene.right]):
        rows = np.flatnonzero(scene.places == place)
        if len(rows) > 1:
            found.append((columns(scene.features[rows], names), int(scene.right[rows].argmax())))
    return found


def _conditional(groups: Sequence[tuple[Floats, int]], prior: Floats) -> Floats:
    """The coefficients of a conditional logit (McFadden, 1974), drawn towards `prior`."""

    def cost(weights: Floats) -> tuple[float, Floats, Floats]:
        total = 0.5 * PRIOR * float(((weights - prior) ** 2).sum())
        slope, curve = PRIOR * (weights - prior), PRIOR * np.eye(len(weights))
        for values, right in groups:
            odds = values @ weights
            odds -= odds.max()
            share = np.exp(odds) / np.exp(odds).sum()
            mean = share @ values
            total -= odds[right] - np.log(np.exp(odds).sum())
            slope = slope + mean - values[right]
            curve = curve + (values * share[:, None]).T @ values - np.outer(mean, mean)
        return total, slope, curve

    return _minimum(cost, prior)


def _logistic(values: Floats, right: Floats, prior: Floats, bias: float) -> tuple[Floats, float]:
    """The coefficients and the constant of a logistic regression, the coefficients drawn towards `prior`."""
    table = np.c_[values, np.ones(len(values))]
    start, hold = np.r_[prior, bias], PRIOR * np.r_[np.ones(len(prior)), 1e-3]

    def cost(weights: Floats) -> tuple[float, Floats, Floats]:
        odds = table @ weights
        total = float((np.logaddexp(0, odds) - right * odds).sum() + 0.5 * (hold * (weights - start) ** 2).sum())
        share = probabilities(odds)
        slope = table.T @ (share - right) + hold * (weights - start)
        return total, slope, (table * (share * (1 - share))[:, None]).T @ table + np.diag(hold)

    weights = _minimum(cost, start)
    return weights[:-1], float(weights[-1])


def _minimum(cost: Callable[[Floats], tuple[float, Floats, Floats]], start: Floats) -> Floats:
    """The minimum of a convex function, by Newton's method with halved steps. The function gives value, slope and curvature."""
    weights = start.copy()
    value, slope, curve = cost(weights)
    for _ in range(_STEPS):
        step = np.linalg.solve(curve, slope)
        if np.abs(step).max() < _CLOSE:
            break
        length = 1.0
        while (other := cost(weights - length * step))[0] > value and length > _SHORTEST:
            length /= 2
        weights = weights - length * step
        value, slope, curve = other
    return weights


def score_points(scores: Floats, right: NDArray[np.bool_], truths: int) -> tuple[ScorePoint, ...]:
    """What detections of each of `SCORES` are worth.

    Args:
        scores: (N,) scores of the detections.
        right: (N,) whether each is right.
        truths: Number of true boxes.
    """
    points = []
    for score in SCORES:
        above = scores >= score
        count, hits = int(above.sum()), int(right[above].sum())
        points.append(
            ScorePoint(
                score=score,
                detections=count,
                precision=hits / count if count else 0.0,
                precision_interval=wilson(hits, count),
                recall=min(1.0, hits / truths),
            )
        )
    return tuple(points)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927); (0, 1) of nothing."""
    if not count:
        return 0.0, 1.0
    share, extra = hits / count, _Z**2 / count
    middle = (share + extra / 2) / (1 + extra)
    half = _Z * np.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))

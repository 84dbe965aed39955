"""The label of a place, and the probability that it is right.

Among the labels of a place, the choice is a conditional logit: each label has odds, by its evidence and by what the heads say of
it. The chosen label's score is a logistic of the same features and of its share of the odds.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from model.detection.features import GLOBAL, LOCAL, SCALES, Table, columns
from model.schemas.labelling import Labelling

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

CLASSICAL = ("ratio", "lead")
SCORED = ("evidence", "inliers", "correlation", "share")


def choice_features(heads: Collection[str]) -> tuple[str, ...]:
    """The features of the choice, if these features of heads are known."""
    return (*CLASSICAL, *(name for name in (*GLOBAL, *LOCAL) if name in heads))


def score_features(heads: Collection[str]) -> tuple[str, ...]:
    """The features of the score, if these features of heads are known."""
    return (*SCORED, *(name for name in (*GLOBAL, *LOCAL) if name in heads))


def shares(labelling: Labelling, features: Table, places: Rows) -> Floats:
    """Each candidate's share of the odds of its place: (C,) between 0 and 1."""
    names = list(labelling.choice)
    odds = columns(features, names) @ np.array([labelling.choice[name] for name in names])
    top = np.full(places.max(initial=-1) + 1, -np.inf)
    np.maximum.at(top, places, odds)
    odds = np.exp(odds - top[places])
    return odds / np.bincount(places, odds)[places]


def scored_table(names: Collection[str], features: Table, share: Floats) -> Table:
    """The features of the score (C, F), in the order of `names`."""
    measured = {name: columns(features, [name])[:, 0] for name in names if name != "share"}
    measured["share"] = np.log(np.maximum(share, 1e-4)) / SCALES["share"]
    return np.stack([measured[name] for name in names], axis=1)


def log_odds(labelling: Labelling, features: Table, places: Rows) -> tuple[Floats, NDArray[np.bool_]]:
    """The log odds (C,) that each candidate is right, and whether it is the chosen one of its place (C,)."""
    share = shares(labelling, features, places)
    names = list(labelling.score)
    found = scored_table(names, features, share) @ np.array([labelling.score[name] for name in names]) + labelling.bias
    return found, chosen(share, places)


def chosen(share: Floats, places: Rows) -> NDArray[np.bool_]:
    """Whether each candidate has the largest share of its place; the first of equal ones."""
    order = np.lexsort((-share, places))
    first = np.r_[True, places[order][1:] != places[order][:-1]]
    best = np.zeros(len(share), bool)
    best[order[first]] = True
    return best


def probabilities(values: Floats) -> Floats:
    """Log odds as probabilities."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


# Fitted on the even scenes of two sets, by `python -m benchmarks.detection`: see docs/decisions/0011-detection.md.
_DEFAULTS: dict[str, Labelling] = {
    "global+local": Labelling(
        choice={"ratio": 1.49, "lead": 0.51, "global": 0.46, "local": 0.73, "places": 2.30},
        score={
            "evidence": 0.66,
            "inliers": 1.48,
            "correlation": 0.04,
            "share": 0.95,
            "global": -0.20,
            "local": 0.04,
            "places": 1.64,
        },
        bias=-13.36,
    ),
    "classical": Labelling(
        choice={"ratio": 1.59, "lead": 0.49},
        score={"evidence": 1.48, "inliers": 0.97, "correlation": 1.10, "share": 2.08},
        bias=-6.96,
    ),
    "global": Labelling(
        choice={"ratio": 1.54, "lead": 0.57, "global": 2.05},
        score={"evidence": 0.50, "inliers": 1.70, "correlation": 0.68, "share": 0.66, "global": 0.50},
        bias=-9.83,
    ),
    "local": Labelling(
        choice={"ratio": 1.43, "lead": 0.50, "local": 0.91, "places": 2.45},
        score={"evidence": 0.70, "inliers": 1.51, "correlation": -0.01, "share": 0.40, "local": 0.02, "places": 1.56},
        bias=-13.73,
    ),
}


def default_labelling(heads: Collection[str]) -> Labelling:
    """The stored coefficients for a network with some of the heads' features. Its scores are not calibrated on any data."""
    parts = [name for name, group in (("global", GLOBAL), ("local", LOCAL)) if set(group) <= set(heads)]
    return _DEFAULTS["+".join(parts) or "classical"]

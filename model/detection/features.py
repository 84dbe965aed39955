"""The features by which labels and scores are decided, one row for each candidate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.detection.places import Candidate
from model.detection.verification import Verified

Table = NDArray[np.float64]

SCALES = {
    "evidence": 1.5,  # log of the candidate's evidence
    "inliers": 1.0,  # log of its number of keypoints
    "ratio": 0.5,  # log of its evidence over that of the place's best label
    "lead": 2.5,  # signed log of its evidence minus that of the best other label
    "correlation": 0.25,  # mean local correlation of lightness with its exemplar
    "global": 0.15,  # cosine similarity of the global head's vectors, or of the merged ones
    "local": 0.15,  # cosine similarity of the local head's pooled vectors
    "places": 0.12,  # mean cosine similarity of the local head's vectors, place by place
    "share": 1.5,  # log of the share of the odds of the choice among the place's labels
}
"""The features, each with its usual spread, by which it is divided."""
MEASURED = tuple(name for name in SCALES if name != "share")
"""Features that are measured; the share follows from the choice."""
GLOBAL, LOCAL = ("global",), ("local", "places")
_LEAD = 20.0
_FLOOR = 1e-9


def table(candidates: Sequence[Candidate], verified: Verified) -> Table:
    """The measured features of candidates: (C, F), columns as in `MEASURED`; NaN where the network lacks a head."""
    missing = np.full(len(candidates), np.nan)
    evidence, inliers, ratio, lead = (
        np.array([getattr(each, name) for each in candidates], np.float64) for name in ("evidence", "inliers", "ratio", "lead")
    )
    columns = {
        "evidence": np.log(np.maximum(evidence, _FLOOR)),
        "inliers": np.log(np.maximum(inliers, 1)),
        "ratio": np.log(np.maximum(ratio, _FLOOR)),
        "lead": np.sign(lead) * np.log1p(_LEAD * np.abs(lead)),
        "correlation": verified.mean_correlation,
        "global": verified.heads.get("global", missing),
        "local": verified.heads.get("local", missing),
        "places": missing if verified.places is None else verified.places,
    }
    return np.stack([np.asarray(columns[name], np.float64) / SCALES[name] for name in MEASURED], axis=1)


def columns(features: Table, names: Sequence[str]) -> Table:
    """Some columns of a table; 0 where they were not measured."""
    return np.nan_to_num(features[:, [MEASURED.index(name) for name in names]])

"""Places: hypotheses that overlap are one object, seen through several exemplars, and its label is one of theirs.

The best place is taken and its keypoints are explained away; then the next. Only the winning label's keypoints are explained, so
an object that covers a part of another leaves the other one its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.detection.boxes import overlaps, weighted_median
from model.detection.fitting import Hypotheses
from model.detection.voting import Votes

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

OVERLAP = 0.5
"""Intersection over union from which on two hypotheses are of one object."""
LABELS = 4
"""Maximum labels of a place."""
SHARE = 0.25
"""Least evidence of a place's label, as a share of the best label's."""
KEPT = 0.5
"""Least share of its evidence that a hypothesis must keep when keypoints are explained away."""


@dataclass(frozen=True)
class Candidate:
    """One label at one place.

    Attributes:
        place: Number of the place, best first.
        label: The label.
        hypothesis: Row of the hypothesis with the most evidence of its own.
        evidence: Sum over the scene's keypoints of the largest weight that a hypothesis of this label and place gives it.
        ratio: The evidence, as a share of that of the place's best label.
        lead: The evidence, minus that of the place's best other label.
        inliers: Number of keypoints that count.
        box: (4,) float32, weighted median of the hypotheses' boxes.
    """

    place: int
    label: int
    hypothesis: int
    evidence: float
    ratio: float
    lead: float
    inliers: int
    box: Floats


def find_places(hypotheses: Hypotheses, votes: Votes, labels: Rows, boxes: Floats, limit: int) -> list[Candidate]:
    """The labels of each place, best place first.

    Args:
        hypotheses: The fitted hypotheses.
        votes: The votes that they were fitted to.
        labels: (H,) label of each hypothesis.
        boxes: (H, 4) box of each hypothesis.
        limit: Maximum candidates.
    """
    if not len(hypotheses):
        return []
    own = _weights(hypotheses, votes)
    near = overlaps(boxes, boxes) > OVERLAP
    near |= np.eye(len(near), dtype=bool)
    same = near & (labels[:, None] == labels[None, :])
    group = np.stack([own[rows].max(axis=0) for rows in same])  # (H, P) largest weights of each one's group
    free, alive, total = np.ones(own.shape[1], bool), np.ones(len(own), bool), own.sum(axis=1)
    found: list[Candidate] = []
    place = 0
    while alive.any() and len(found) < limit:
        evidence = np.where(alive, group @ free, -1.0)
        best = int(evidence.argmax())
        if evidence[best] <= 0:
            break
        chosen = _labels_of(np.flatnonzero(near[best] & alive), labels, evidence)
        best_evidence = [float(evidence[row]) for row in chosen]
        for row, value in zip(chosen, best_evidence, strict=True):
            members = np.flatnonzero(same[row] & alive)
            strength = own[members] @ free
            rivals = [other for each, other in zip(chosen, best_evidence, strict=True) if each != row]
            found.append(
                Candidate(
                    place=place,
                    label=int(labels[row]),
                    hypothesis=int(members[strength.argmax()]),
                    evidence=value,
                    ratio=value / best_evidence[0],
                    lead=value - max(rivals, default=0.0),
                    inliers=int((group[row] * free > 0).sum()),
                    box=weighted_median(boxes[members], strength),
                )
            )
        free &= group[best] == 0
        alive &= own @ free >= KEPT * total
        alive[same[best]] = False
        place += 1
    return found


def _weights(hypotheses: Hypotheses, votes: Votes) -> Floats:
    """(H, P) weight that each hypothesis gives each keypoint that any of them matches."""
    _, points = np.unique(votes.points[hypotheses.matches], return_inverse=True)
    weights = np.zeros((len(hypotheses), points.max() + 1), np.float32)
    weights[hypotheses.owners, points] = votes.weights[hypotheses.matches]
    return weights


def _labels_of(rows: Rows, labels: Rows, evidence: NDArray[np.float64]) -> list[int]:
    """The best hypothesis of each label among `rows`, best label first, of labels that come near the best one."""
    rows = rows[np.argsort(-evidence[rows], kind="stable")]
    _, first = np.unique(labels[rows], return_index=True)
    leaders = rows[np.sort(first)][:LABELS]
    return [int(row) for row in leaders if evidence[row] >= SHARE * evidence[leaders[0]]]

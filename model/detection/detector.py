"""The detector: enrolled exemplars found in a scene.

keypoints -> votes -> seeds -> hypotheses -> places -> verification -> label, score and box
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.detection.boxes import bounds, clipped, overlaps
from model.detection.cutouts import grey, reduced
from model.detection.exemplars import Exemplars
from model.detection.features import table
from model.detection.fitting import Hypotheses, fit
from model.detection.hough import find_seeds
from model.detection.keypoints import extract_keypoints
from model.detection.labelling import log_odds, probabilities
from model.detection.places import Candidate, find_places
from model.detection.references import Describer
from model.detection.squares import Pyramid
from model.detection.verification import Verified, Verifier
from model.detection.visible_box import visible_box
from model.detection.voting import Voters
from model.schemas.labelling import Labelling

Floats = NDArray[np.float32]

KEYPOINTS = 3000
"""Maximum keypoints of a scene."""
LONGEST = 1280
"""Longest side of a scene in pixels; a larger one is reduced."""
CANDIDATES = 48
"""Maximum candidates that are verified."""
SUPPRESSED = 0.5
"""Intersection over union from which on the weaker of two detections is left out."""


@dataclass(frozen=True)
class Detection:
    """An object that was found.

    Attributes:
        label: Its label.
        box: x0, y0, x1, y1 of what is visible of it, in pixels of the scene.
        score: Probability that label and box are right, by the stored calibration.
        inliers: Number of the scene's keypoints that agree.
        exemplar: Id of the exemplar that it was verified against.
    """

    label: str
    box: tuple[float, float, float, float]
    score: float
    inliers: int
    exemplar: str


@dataclass(frozen=True)
class Proposals:
    """What may be in a scene, before labels are decided.

    Attributes:
        candidates: Labels by place.
        features: (C, F) float64, what a label is decided by; see `model.detection.labelling`.
        boxes: (C, 4) float32, visible boxes.
        exemplars: (C,) rows of the exemplars.
    """

    candidates: list[Candidate]
    features: NDArray[np.float64]
    boxes: Floats
    exemplars: NDArray[np.int64]

    @property
    def places(self) -> NDArray[np.int64]:
        """(C,) place of each candidate."""
        return np.array([each.place for each in self.candidates], np.int64)


class Detector:
    """Finds enrolled objects in scenes.

    Args:
        exemplars: The enrolled objects.
        describer: The stored network.
        labelling: How labels are decided and scores are calibrated.
    """

    def __init__(self, exemplars: Exemplars, describer: Describer, labelling: Labelling) -> None:
        self.exemplars = exemplars
        self.describer = describer
        self.labelling = labelling
        self._voters = Voters(exemplars)
        self._verifier = Verifier(exemplars, describer)

    def detect(self, image: Tensor) -> list[Detection]:
        """The objects in an image (3, H, W) uint8 RGB, best score first. An image without keypoints has none."""
        return self.decide(self.propose(image), self.labelling)

    def without(self, sources: Sequence[str]) -> "Detector | None":
        """A detector without what was cut from some images; itself if there is nothing of them, None if nothing is left."""
        names = np.array(sources, dtype=str)
        if not np.isin(names, np.concatenate([self.exemplars.sources, self.exemplars.background_sources])).any():
            return self
        rest = self.exemplars.without(names)
        return Detector(rest, self.describer, self.labelling) if len(rest) else None

    def propose(self, image: Tensor) -> Proposals:
        """What may be in an image (3, H, W) uint8 RGB."""
        pixels, scale = _bounded(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
        height, width = pixels.shape[:2]
        hypotheses, candidates = self._candidates(pixels)
        if not candidates:
            return Proposals([], np.empty((0, 0)), np.empty((0, 4), np.float32), np.empty(0, np.int64))
        rows = np.array([each.hypothesis for each in candidates])
        exemplars, transforms = hypotheses.exemplars[rows], hypotheses.transforms[rows]
        verified = self._verifier.verify(Pyramid(pixels), exemplars, transforms)
        boxes = [
            visible_box(each.box, *geometry)
            for each, geometry in zip(candidates, self._geometry(exemplars, transforms, verified), strict=True)
        ]
        features = table(candidates, verified)
        return Proposals(candidates, features, clipped(np.stack(boxes), width, height) / np.float32(scale), exemplars)

    def decide(self, proposals: Proposals, labelling: Labelling) -> list[Detection]:
        """One label for each place, and one place for each object."""
        if not proposals.candidates:
            return []
        odds, best = log_odds(labelling, proposals.features, proposals.places)
        scores, rows = probabilities(odds), np.flatnonzero(best)
        kept: list[int] = []
        for row in rows[np.argsort(-odds[rows], kind="stable")].tolist():
            if not kept or overlaps(proposals.boxes[[row]], proposals.boxes[kept]).max() < SUPPRESSED:
                kept.append(row)
        return [self._detection(proposals, row, float(scores[row])) for row in kept]

    def _detection(self, proposals: Proposals, row: int, score: float) -> Detection:
        candidate, (x0, y0, x1, y1) = proposals.candidates[row], proposals.boxes[row].tolist()
        label = self.exemplars.classes[candidate.label]
        return Detection(label, (x0, y0, x1, y1), score, candidate.inliers, str(self.exemplars.ids[proposals.exemplars[row]]))

    def _candidates(self, pixels: NDArray[np.uint8]) -> tuple[Hypotheses, list[Candidate]]:
        exemplars = self.exemplars
        height, width = pixels.shape[:2]
        scene = extract_keypoints(grey(pixels), KEYPOINTS, spread=True)
        votes = self._voters.vote(scene, (width, height)) if len(scene) else None
        if votes is None or not len(votes):
            nothing = np.empty(0, np.int64)
            return Hypotheses(nothing, np.empty((0, 2, 3), np.float32), nothing, nothing), []
        seeds = find_seeds(votes, exemplars.labels, exemplars.counts)
        hypotheses = fit(seeds, votes, exemplars.positions, scene.positions)
        transforms = hypotheses.transforms
        outlines = exemplars.outlines[hypotheses.exemplars]
        corners = outlines @ np.swapaxes(transforms[:, :, :2], 1, 2) + transforms[:, None, :, 2]
        boxes = clipped(bounds(corners), width, height)
        return hypotheses, find_places(hypotheses, votes, exemplars.labels[hypotheses.exemplars], boxes, CANDIDATES)

    def _geometry(
        self, exemplars: NDArray[np.int64], transforms: Floats, verified: Verified
    ) -> list[tuple[Floats, Floats, Floats, NDArray[np.bool_]]]:
        return list(zip(transforms, self._verifier.frames[exemplars], verified.correlation, verified.mask, strict=True))


def _bounded(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The image with its longest side reduced to `LONGEST`, and the factor."""
    scale = min(1.0, LONGEST / max(pixels.shape[:2]))
    return reduced(pixels, scale), scale

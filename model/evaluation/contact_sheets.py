"""Contact sheets: the choice of a report's queries that are shown, and the thumbnails of their neighbours."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.data import thumbnails
from model.data.manifest import Box, Manifest
from model.errors import InvalidInput
from model.evaluation.metrics import PerQuery
from model.schemas.illustrations import ContactSheet, SheetImage, SheetQuery

if TYPE_CHECKING:
    from torch import Tensor

SHEET = 12
"""Queries on a contact sheet."""
SHOWN = 5
"""Neighbours shown for each query."""
THUMBNAIL = 112
"""Longer side of a thumbnail in pixels."""


def contact_sheets(manifest: Manifest, figures: PerQuery, seed: int = 0) -> tuple[ContactSheet, ...]:
    """The contact sheets of the typical and the worst queries.

    Args:
        manifest: Searched samples: the queries in the order of `figures`, then the distractors.
        figures: Figures and neighbours of each query.
        seed: Seed of the choice among equal queries.
    """
    typical = ContactSheet(
        title="Typical queries",
        text="Taken at even distances from the best MAP@R to the lowest, so that they stand for all.",
        queries=tuple(shown_query(manifest, figures, int(row)) for row in typical_queries(figures, seed=seed)),
    )
    worst = ContactSheet(
        title="The worst queries",
        text="The lowest MAP@R, at most one of a class; among equals, the surest of a wrong answer first.",
        queries=tuple(shown_query(manifest, figures, int(row)) for row in worst_queries(figures)),
    )
    return typical, worst


def typical_queries(figures: PerQuery, count: int = SHEET, seed: int = 0) -> NDArray[np.int64]:
    """Rows of the queries at evenly spaced ranks of MAP@R, best first; equal queries are in random order."""
    rows = np.flatnonzero(figures.has_match)
    rows = np.random.default_rng(seed).permutation(rows)
    rows = rows[np.argsort(-figures.map_at_r[rows], kind="stable")]
    ranks = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return rows[ranks]


def worst_queries(figures: PerQuery, count: int = SHEET) -> NDArray[np.int64]:
    """Rows of the queries with the lowest MAP@R, at most one a class; among equals, the surest of a wrong answer is first."""
    rows = np.flatnonzero(figures.has_match)
    rows = rows[np.lexsort((-figures.scores[rows, 0], figures.map_at_r[rows]))]
    _, first = np.unique(figures.labels[rows], return_index=True)
    return rows[np.sort(first)[:count]]


def shown_query(manifest: Manifest, figures: PerQuery, row: int) -> SheetQuery:
    """A query and its first neighbours as thumbnails.

    Args:
        manifest: Searched samples: the queries in the order of `figures`, then the distractors.
        figures: Figures and neighbours of each query.
        row: Row of the query.
    """
    neighbours = tuple(
        sheet_image(manifest, int(other), right=bool(manifest.labels[other] == manifest.labels[row]), score=float(score))
        for other, score in zip(figures.neighbours[row, :SHOWN], figures.scores[row, :SHOWN], strict=True)
        if other >= 0
    )
    return SheetQuery(query=sheet_image(manifest, row), map_at_r=float(figures.map_at_r[row]), neighbours=neighbours)


def sheet_image(manifest: Manifest, row: int, *, right: bool = False, score: float = 0.0) -> SheetImage:
    """A sample as a thumbnail, as the neighbour of a query right or wrong, with its score."""
    path = str(manifest.paths[row])
    source = thumbnail(manifest.folder / path, manifest.box(row))
    return SheetImage(source=source, name=manifest.classes[manifest.labels[row]], path=path, right=right, score=score)


def thumbnail(file: Path, box: Box | None = None) -> str | None:
    """A small JPEG of an image, or of a box in it, as a data: URI; None if the image cannot be read."""
    try:
        return thumbnails.thumbnail(file.read_bytes(), THUMBNAIL, box).uri
    except (InvalidInput, OSError):
        return None


def encoded(image: "Tensor", longest: int) -> str:
    """An image (3, H, W) uint8, reduced to a longest side in pixels, as a data: URI of a JPEG."""
    from torchvision.io import encode_jpeg
    from torchvision.transforms.v2 import functional as transforms

    height, width = image.shape[1:]
    ratio = min(1.0, longest / max(height, width))
    size = [max(1, round(height * ratio)), max(1, round(width * ratio))]
    small = transforms.resize(image, size, antialias=True)
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(small, quality=80).numpy().tobytes()).decode()

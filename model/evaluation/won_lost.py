"""Two models on the same queries: which queries the second one wins and loses, and a page that shows them as images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.evaluation.contact_sheets import shown_query
from model.evaluation.metrics import PerQuery
from model.evaluation.page import template
from model.files import write_text
from model.schemas.comparison import ChangedQuery, Comparison
from model.schemas.version_diff import QueryChange, WonAndLost

MOST = 10
"""Queries with the largest changes that are named and shown."""


def same_queries(before: PerQuery, after: PerQuery) -> bool:
    """Whether both answered the same queries with the same right answers."""
    return (
        np.array_equal(before.ids, after.ids)
        and np.array_equal(before.labels, after.labels)
        and np.array_equal(before.has_match, after.has_match)
    )


def won_and_lost(before: PerQuery, after: PerQuery) -> WonAndLost:
    """The queries that the second model wins and loses, by MAP@R.

    Args:
        before: Figures of the first model.
        after: Figures of the second model on the `same_queries`.
    """
    gain = (after.map_at_r - before.map_at_r)[before.has_match]
    return WonAndLost(
        queries=len(gain),
        won=int((gain > 0).sum()),
        lost=int((gain < 0).sum()),
        most_won=tuple(_change(before, after, row) for row in _largest(before, after, 1).tolist()),
        most_lost=tuple(_change(before, after, row) for row in _largest(before, after, -1).tolist()),
    )


def compare_queries(manifest: Manifest, before: PerQuery, after: PerQuery, names: tuple[str, str]) -> Comparison:
    """The queries won and lost, those of the largest changes with their neighbours under both models as images.

    Args:
        manifest: Searched samples: the queries in the order of the figures, then the distractors.
        before: Figures and neighbours of each query under the first model.
        after: The same under the second model.
        names: Names of the two models.
    """
    counts = won_and_lost(before, after)
    lost, won = (
        tuple(
            ChangedQuery(before=shown_query(manifest, before, row), after=shown_query(manifest, after, row))
            for row in _largest(before, after, sign).tolist()
        )
        for sign in (-1, 1)
    )
    return Comparison(
        before=names[0],
        after=names[1],
        queries=counts.queries,
        won=counts.won,
        lost=counts.lost,
        most_won=won,
        most_lost=lost,
    )


def save_page(file: Path, comparison: Comparison) -> None:
    """Write a comparison as a self-contained page."""
    write_text(file, template("won_lost.html").render(compared=comparison))


def _largest(before: PerQuery, after: PerQuery, sign: int) -> NDArray[np.int64]:
    """Rows of the queries that changed most in a direction, 1: gains, -1: losses; the largest change first."""
    change = np.where(before.has_match, sign * (after.map_at_r - before.map_at_r), 0.0)
    rows = np.argsort(-change, kind="stable")[:MOST]
    return rows[change[rows] > 0]


def _change(before: PerQuery, after: PerQuery, row: int) -> QueryChange:
    return QueryChange(id=str(before.ids[row]), before=float(before.map_at_r[row]), after=float(after.map_at_r[row]))

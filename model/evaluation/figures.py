"""The figures of a report: means with intervals, over all queries, by class and by group, beside the untrained trunk's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.evaluation.bootstrap import paired_difference, percentiles, resampled_means
from model.evaluation.metrics import PerQuery
from model.schemas.figures import Bootstrap, Figure, GroupFigures, HistogramColumn, RetrievalFigures

CONFIDENCE = 0.95
BINS = 10
"""Columns of the histogram of MAP@R."""


@dataclass(frozen=True)
class GroupRow:
    """The figures of one class or group that has queries."""

    name: str
    queries: int
    recall_at_1: Figure
    map_at_r: Figure
    untrained: float


def retrieval_figures(
    manifest: Manifest, candidate: PerQuery, untrained: PerQuery, *, samples: int = 1000, seed: int = 0
) -> RetrievalFigures:
    """All figures of a report about the neighbours that a model finds.

    Args:
        manifest: Searched samples: the queries in the order of `candidate`, then the distractors.
        candidate: Figures of the trained model.
        untrained: Figures of the untrained trunk on the same samples.
        samples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        InvalidInput: The figures are not of the manifest's rows, or no query has a possible match.
    """
    searched, manifest = manifest, manifest.select(np.arange(min(len(candidate), len(manifest))))
    if not np.array_equal(manifest.ids, candidate.ids) or np.any(searched.splits[len(manifest) :] != "distractor"):
        raise InvalidInput("The figures are not of the manifest's rows.", "Give the rows that were evaluated, in that order.")
    bootstrap = Bootstrap(samples=samples, confidence=CONFIDENCE, seed=seed)
    gain = paired_difference(candidate, untrained, samples=samples, confidence=CONFIDENCE, seed=seed)
    classes = np.array(manifest.classes, dtype=str)[manifest.labels]
    return RetrievalFigures(
        queries=len(candidate),
        queries_without_match=int((~candidate.has_match).sum()),
        distractors=len(searched) - len(manifest),
        classes=len(np.unique(candidate.labels)),
        figures=summarise(candidate, bootstrap),
        untrained=summarise(untrained, bootstrap),
        gain=Figure(value=gain.mean, lower=gain.lower, upper=gain.upper),
        by_class=by_group(candidate, untrained, classes, bootstrap),
        by_group=by_group(candidate, untrained, manifest.grouping, bootstrap) if manifest.has_groups else {},
        histogram=histogram(candidate, untrained),
        bootstrap=bootstrap,
    )


def summarise(per_query: PerQuery, bootstrap: Bootstrap) -> dict[str, Figure]:
    """The mean of every figure with its interval. The bootstrap draws whole classes.

    Raises:
        InvalidInput: No query has a possible match.
    """
    if not per_query.has_match.any():
        raise InvalidInput(
            f"None of {len(per_query)} queries has another image of its class to find.",
            "Test on classes of two images or more.",
        )
    figures = per_query.figures()
    columns = np.stack(list(figures.values()), axis=1)
    return dict(zip(figures, _figures(columns, per_query.labels[per_query.has_match], bootstrap), strict=True))


def by_group(candidate: PerQuery, untrained: PerQuery, groups: NDArray[np.str_], bootstrap: Bootstrap) -> dict[str, GroupFigures]:
    """Each group's figures over its queries that have a possible match. Groups without such a query are kept.

    Args:
        candidate: Figures of the candidate.
        untrained: Figures of the untrained trunk on the same queries.
        groups: (Q,) group or class of each query.
        bootstrap: Settings of the bootstrap. It draws the group's classes, or the queries of a group of one class.
    """
    columns = np.stack([candidate.recall[:, candidate.ks.index(1)], candidate.map_at_r, untrained.map_at_r], axis=1)
    table: dict[str, GroupFigures] = {}
    names, index = np.unique(groups, return_inverse=True)
    for number, group in enumerate(names):
        rows = np.flatnonzero((index == number) & candidate.has_match)
        if not len(rows):
            table[str(group)] = GroupFigures(queries=0, recall_at_1=None, map_at_r=None, untrained=None)
            continue
        recall, precision, before = _figures(columns[rows].astype(np.float64), candidate.labels[rows], bootstrap)
        table[str(group)] = GroupFigures(queries=len(rows), recall_at_1=recall, map_at_r=precision, untrained=before.value)
    return table


def worst_first(table: Mapping[str, GroupFigures]) -> list[GroupRow]:
    """The groups of `by_group` that have queries, lowest MAP@R first."""
    rows = [
        GroupRow(name, row.queries, row.recall_at_1, row.map_at_r, row.untrained)
        for name, row in table.items()
        if row.recall_at_1 is not None and row.map_at_r is not None and row.untrained is not None
    ]
    return sorted(rows, key=lambda row: (row.map_at_r.value, row.name))


def histogram(candidate: PerQuery, untrained: PerQuery) -> tuple[HistogramColumn, ...]:
    """Number of queries with a MAP@R in each of `BINS` ranges."""
    counts = [np.histogram(side.figures()["map_at_r"], BINS, (0.0, 1.0))[0] for side in (candidate, untrained)]
    return tuple(
        HistogramColumn(start=i / BINS, stop=(i + 1) / BINS, candidate=int(counts[0][i]), untrained=int(counts[1][i]))
        for i in range(BINS)
    )


def _figures(columns: NDArray[np.float64], classes: NDArray[np.int64], bootstrap: Bootstrap) -> list[Figure]:
    """The mean and the interval of each column of (Q, M)."""
    bounds = percentiles(resampled_means(columns, classes, samples=bootstrap.samples, seed=bootstrap.seed), bootstrap.confidence)
    means = [float(column.mean()) for column in columns.T]
    return [Figure(value=mean, lower=float(lower), upper=float(upper)) for mean, lower, upper in zip(means, *bounds, strict=True)]

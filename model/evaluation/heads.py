"""The heads compared: what each head's own embedding finds, beside the merged one.

The merged vector is the heads' vectors side by side, each times a factor, so each head's embedding is cut out of it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.data.spread import evenly
from model.evaluation.bootstrap import paired_difference
from model.evaluation.figures import summarise
from model.evaluation.metrics import PerQuery, as_embedded, evaluate_queries
from model.networks.architecture import Architecture
from model.schemas.figures import Bootstrap, Figure
from model.schemas.head_figures import HeadFigures

QUERIES = 2000
"""Most queries that the heads are compared on."""
MERGED = "merged"


def compare_heads(
    architecture: Architecture,
    vectors: NDArray[np.float32],
    searched: Manifest,
    bootstrap: Bootstrap,
    weights: Mapping[str, float],
) -> tuple[HeadFigures, ...]:
    """The figures of the merged embedding, then of each head; none for a single head, or if no query has a possible match.

    Args:
        architecture: The heads, in the order of the merged vector.
        vectors: (N, D) float32, merged embeddings of the searched samples.
        searched: The samples: the queries, then the distractors.
        bootstrap: Settings of the intervals.
        weights: Weight of each head in the merged embedding.
    """
    if len(architecture.heads) < 2:
        return ()
    merged = _queried(vectors, searched)
    if not merged.has_match.any():
        return ()
    ends = np.cumsum([head.dimensions for head in architecture.heads.values()])
    parts = dict(zip(architecture.heads, np.split(vectors, ends[:-1], axis=1), strict=True))
    compared = [_head(MERGED, vectors.shape[1], None, merged, bootstrap)]
    for name, part in parts.items():
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        if (lengths == 0).any():
            continue  # a head whose weight is 0 left no trace in the merged vector
        found = _queried(part / lengths, searched)
        better = paired_difference(merged, found, samples=bootstrap.samples, confidence=bootstrap.confidence, seed=bootstrap.seed)
        gain = Figure(value=better.mean, lower=better.lower, upper=better.upper)
        compared.append(_head(name, part.shape[1], weights.get(name), found, bootstrap, gain))
    return tuple(compared)


def _queried(vectors: NDArray[np.float32], searched: Manifest) -> PerQuery:
    rows = evenly(len(searched.rows("test")), QUERIES)
    everything = as_embedded(vectors, searched.labels, searched.ids)
    return evaluate_queries(as_embedded(vectors[rows], searched.labels[rows], searched.ids[rows]), everything)


def _head(
    name: str, dimensions: int, weight: float | None, found: PerQuery, bootstrap: Bootstrap, gain: Figure | None = None
) -> HeadFigures:
    figures = summarise(found, bootstrap)
    return HeadFigures(
        name=name,
        dimensions=dimensions,
        weight=weight,
        recall_at_1=figures["recall_at_1"],
        map_at_r=figures["map_at_r"],
        gain=gain,
        queries=int(found.has_match.sum()),
    )

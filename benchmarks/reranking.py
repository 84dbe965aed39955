"""The gain of geometric re-ranking, on a sample of test queries, for a method with local features.

The ratio is the one that the training chose on held-out classes (`model.training.reranking`).
"""

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.evaluation.reranking import draw_sample, sample_figures
from model.networks.heads import RetrievalNetwork
from model.retrieval.embedding import mapped_images
from model.retrieval.local_features import features_of_images
from model.retrieval.reranker import Reranker, fitted_rows, reduction_for


class Side(NamedTuple):
    """The samples of one side of the split, and their global embeddings (N, D)."""

    samples: Manifest
    vectors: NDArray[np.float32]


def reranked(network: RetrievalNetwork, train: Manifest, test: Side, size: int, ratio: float | None) -> dict[str, Any]:
    """Measure test queries with and without re-ranking.

    Args:
        network: Network in evaluation mode.
        train: Training images, which a reduction is fitted to.
        test: The test images, then the distractors.
        size: Side of the trunk's square input.
        ratio: Ratio that the training chose; None for no re-ranking, whose figures are then those of the global search.

    Returns:
        `ratio`, `map_at_r`, `recall_at_1`, `without` (the same two without re-ranking), `queries`, and `extra_ms`, the time of a
        query beside the global search.
    """
    sample = draw_sample(test.vectors, test.samples.labels, first=len(test.samples.rows("test")))
    before = after = sample_figures(sample, None)
    extra_ms = 0.0
    if ratio is not None:
        fitted = fitted_rows(train.labels, np.arange(len(train)))
        reduction = reduction_for(network.heads, lambda: mapped_images(network.trunk, train, fitted, size))
        rows, seconds = sample.compared, 0.0
        found = []
        for batch in mapped_images(network.trunk, test.samples, rows, size):
            began = time.perf_counter()
            found += features_of_images(network.heads, *batch, size, reduction=reduction)
            seconds += time.perf_counter() - began
        reranker = Reranker(dict(zip(rows.tolist(), found, strict=True)), reduction, ratio, budget_ms=np.inf)
        began = time.perf_counter()
        after = sample_figures(sample, reranker)
        extra_ms = 1000 * (seconds / len(rows) + (time.perf_counter() - began) / len(sample))
    figures = [{name: float(values.mean()) for name, values in each._asdict().items()} for each in (before, after)]
    return {"ratio": ratio, **figures[1], "without": figures[0], "queries": len(sample), "extra_ms": round(extra_ms, 2)}

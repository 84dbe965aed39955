"""Whether a release re-ranks by local features, and with which ratio: chosen on held-out images, as all of selection is.

Each fold's network answers a sample of queries among the held-out images of its fold, whose classes it has not seen.
Re-ranking is taken if its best ratio is clearly better than the global search alone and by enough to be worth its cost; otherwise
the simpler is. The sample bounds the cost of the choice: 120 queries of 30 candidates, each verified once for every ratio.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.cache.feature_maps import FeatureMaps
from model.data.image_batches import BATCH
from model.errors import InvalidInput
from model.evaluation.reranking import QUERIES, QueryFigures, described, draw_sample, sample_figures
from model.retrieval.embedding import MappedImages, mapped_images, trunk_maps
from model.retrieval.local_features import features_of_images, local_head
from model.retrieval.reranker import RATIOS, Reranker, fitted_rows, reduction_for
from model.schemas.reranking import Reranking
from model.training.comparison import clearly_better
from model.training.learner import Learner
from model.training.training_data import TrainingData

LEAST_GAIN = 0.005
"""Least gain in MAP@R that is worth the cost: re-ranking multiplies the size of a release and the time of a query."""
_Tried = dict[float | None, QueryFigures]
"""Figures under each ratio; None: without re-ranking."""


def choose_reranking(data: TrainingData, learners: Sequence[Learner], vectors: Sequence[NDArray[np.float32]]) -> Reranking | None:
    """Choose a ratio on the held-out images of all folds, or none.

    Args:
        data: What all trainings share.
        learners: One training for each fold, restored to the kept epoch.
        vectors: The embeddings (N, D) of each fold's held-out images under `Learner.evaluated`.

    Returns:
        The choice with its figures; None if it was not asked for, nothing was held out, or the method has no local features.
    """
    if data.config.rerank == "never" or not learners or not has_local_features(learners[0]):
        return None
    labels, folds = [], []
    for learner, found in zip(learners, vectors, strict=True):
        some, tried = _figures_of_fold(data, learner, found, -(-QUERIES // len(learners)))
        labels.append(some)
        folds.append(tried)
    return choose_ratio(np.concatenate(labels), {ratio: _joined([tried[ratio] for tried in folds]) for ratio in folds[0]})


def choose_ratio(labels: NDArray[np.int64], tried: _Tried) -> Reranking:
    """The choice, from figures of the same queries under each ratio.

    Args:
        labels: (Q,) classes of the queries.
        tried: Their figures without re-ranking (None) and with each ratio. Of equally good ratios the first is taken.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = {ratio: np.bincount(codes, weights=figures.map_at_r) / counts for ratio, figures in tried.items()}
    best = max((ratio for ratio in tried if ratio is not None), key=lambda ratio: tried[ratio].map_at_r.mean())
    found = described(labels, tried[None], tried[best], ratio=best, tried_ratio=best)
    pays = found.gain >= LEAST_GAIN and clearly_better(by_class[best], by_class[None], counts)
    return found if pays else found.model_copy(update={"ratio": None})


def has_local_features(learner: Learner) -> bool:
    """Whether the method of a training has local features."""
    try:
        local_head(learner.evaluated.heads)
    except InvalidInput:
        return False
    return True


def _joined(folds: Sequence[QueryFigures]) -> QueryFigures:
    return QueryFigures(*(np.concatenate(some) for some in zip(*folds, strict=True)))


def _figures_of_fold(
    data: TrainingData, learner: Learner, vectors: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], _Tried]:
    """The classes (Q,) of a fold's queries, and their figures under each ratio."""
    held_out, heads, size = learner.fold.held_out, learner.evaluated.heads, data.model.image_size
    sample = draw_sample(vectors, data.manifest.labels[held_out], count=count)
    fitted = fitted_rows(data.manifest.labels, learner.fold.train)
    reduction = reduction_for(heads, lambda: _mapped(data, learner, fitted))
    rows = sample.compared
    found = (
        image
        for batch in _mapped(data, learner, held_out[rows])
        for image in features_of_images(heads, *batch, size, reduction=reduction)
    )
    features = dict(zip(rows.tolist(), found, strict=True))
    tried: _Tried = {None: sample_figures(sample, None)}
    for ratio in RATIOS:
        tried[ratio] = sample_figures(sample, Reranker(features, reduction, ratio, budget_ms=np.inf))
    return sample.labels, tried


@torch.inference_mode()
def _mapped(data: TrainingData, learner: Learner, rows: NDArray[np.int64]) -> Iterator[MappedImages]:
    """The images of `rows`, with the maps of the learner's trunk."""
    network = learner.evaluated.eval()
    if isinstance(data.cached, FeatureMaps):
        yield from mapped_images(network.trunk, data.manifest, rows, data.model.image_size, data.cached)
        return
    for begin in range(0, len(rows), BATCH):
        (images,) = learner.mode.unaugmented(rows[begin : begin + BATCH])
        yield (images, *trunk_maps(network.trunk, images))

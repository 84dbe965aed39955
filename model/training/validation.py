"""The figures of a training on the held-out classes of its fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import Diverged
from model.evaluation.metrics import evaluate_retrieval
from model.networks.heads import Embeddings, RetrievalNetwork, untrained_network
from model.training.distributed import gather_rows, share
from model.training.gradients import map_tensors
from model.training.learner import Learner

ClassFigures = NDArray[np.float64]
"""(C,): one figure for each held-out class that has two images or more."""


@dataclass(frozen=True)
class Validation:
    """The figures of a network on held-out classes, which are searched among themselves.

    Attributes:
        labels: (Q,) class of each query that has a possible match.
        map_at_r: (Q,) its MAP@R.
        margins: Computes `margin`, which costs as much as a search and is seldom compared.
    """

    labels: NDArray[np.int64]
    map_at_r: NDArray[np.float64]
    margins: Callable[[], NDArray[np.float64]]

    @cached_property
    def margin(self) -> NDArray[np.float64]:
        """(Q,): similarity of a query's nearest right image less that of the nearest wrong one.

        Where MAP@R is nearly 1 for every network, this still tells networks apart.
        """
        return self.margins()

    def by_class(self, figures: NDArray[np.float64]) -> ClassFigures:
        """(C,): the mean of per-query figures (Q,) over each class."""
        return np.asarray(np.bincount(self._codes, weights=figures) / self.counts)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(C,): queries of each class."""
        return np.bincount(self._codes)

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        return np.unique(self.labels, return_inverse=True)[1]


def query_counts(learner: Learner) -> NDArray[np.int64]:
    """(C,): queries of each held-out class that has two images or more."""
    _, counts = np.unique(learner.manifest.labels[learner.fold.held_out], return_counts=True)
    return counts[counts > 1]


def validate(learner: Learner) -> Validation:
    """The figures of the evaluated network on the learner's held-out classes."""
    return search(learner, embed_rows(learner, learner.evaluated, learner.fold.held_out).merged)


def validate_untrained(learner: Learner) -> Validation:
    """The figures of the trunk as it is, without heads."""
    return search(learner, embed_rows(learner, untrained_network(learner.network.trunk), learner.fold.held_out).merged)


def search(learner: Learner, merged: Tensor) -> Validation:
    """Search every held-out image among the others.

    Args:
        learner: The training whose fold is searched.
        merged: Embeddings (N, D) of its held-out rows.

    Raises:
        Diverged: An embedding is not finite, or zero.
    """
    if not bool((merged.norm(dim=1) > 0.5).all()):  # also false for NaN
        raise Diverged("The network's embeddings are no longer finite.", "Lower train.learning_rates.")
    rows = learner.fold.held_out
    vectors, labels = merged.float().cpu().numpy(), learner.manifest.labels[rows]
    found = evaluate_retrieval(vectors, labels, learner.manifest.ids[rows])
    kept = found.has_match
    return Validation(labels[kept], found.map_at_r[kept], lambda: _margins(vectors, labels)[kept])


def _margins(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(Q,): similarity of the nearest right image less that of the nearest wrong one."""
    scores = vectors @ vectors.T
    same = labels[:, None] == labels
    right = np.where(same & ~np.eye(len(labels), dtype=bool), scores, -1.0).max(axis=1)
    return np.asarray(right - np.where(same, -1.0, scores).max(axis=1), dtype=np.float64)


@torch.inference_mode()
def embed_rows(learner: Learner, network: RetrievalNetwork, rows: NDArray[np.int64]) -> Embeddings:
    """The embeddings of rows of the manifest. The processes share the work, and each receives all embeddings."""
    network.eval()
    mine = rows[share(learner.fabric, len(rows))]
    batches = learner.unaugmented_batches(mine if len(mine) else rows[:1])  # an empty share embeds one row, to know the shape
    parts = [network(*inputs) for inputs in batches]
    return map_tensors(lambda *some: gather_rows(learner.fabric, torch.cat(some)[: len(mine)], len(rows)), *parts)


def mean(figures: Sequence[float] | ClassFigures, counts: NDArray[np.int64]) -> float:
    """The mean over queries of figures by class (C,), with the queries of each class (C,)."""
    return float(np.average(figures, weights=counts))

"""The init of the heads, computed in a few passes over the training images."""

from collections.abc import Iterator

import torch
from torch import Tensor

from model.training.learner import Learner
from model.training.norms import calibrate_norms
from model.training.validation import embed_rows, map_at_r
from model.training.whitening import ClassStatistics, whiten_heads

MERGE_WEIGHTS = (1.0, 0.35, 0.5, 0.7, 1.4, 2.0)
"""Candidates for the weight of a tuned head in the merged vector; of equally good ones the first is chosen."""


def init_heads(learner: Learner) -> None:
    """Calibrate the heads' norms. If the init is `whitened`, also whiten projections, tune a weight and place the proxies."""
    heads = learner.network.heads
    calibrate_norms(heads, _labelled_maps(learner))  # before the whitening, whose input depends on the norms
    if learner.init == "whitened":
        whiten_heads(heads, lambda: _labelled_maps(learner), learner.classes)
        _tune_merge_weight(learner)
        _init_proxies(learner)
    learner.average()


def _labelled_maps(learner: Learner) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    begin = 0
    learner.network.trunk.eval()
    for inputs in learner.unaugmented_batches(learner.train_rows):
        with torch.no_grad():
            shallow, deep = learner.network.trunk(*inputs) if len(inputs) == 1 else inputs
        labels = torch.from_numpy(learner.labels[begin : begin + len(deep)])
        begin += len(deep)
        yield shallow, deep, labels


@torch.no_grad()
def _tune_merge_weight(learner: Learner) -> None:
    """Set the tuned head's weight in the merged vector to the candidate with the best validation MAP@R."""
    if learner.tuned_head is None or not len(learner.val_rows):
        return
    heads = learner.network.heads
    vectors = embed_rows(learner, learner.network, learner.val_rows).heads
    index = list(heads.architecture.heads).index(learner.tuned_head)
    figures = {}
    for weight in MERGE_WEIGHTS:
        heads.weights[index] = weight
        figures[weight] = map_at_r(learner, heads.merge(vectors))
    heads.weights[index] = max(MERGE_WEIGHTS, key=lambda weight: figures[weight])


@torch.no_grad()
def _init_proxies(learner: Learner) -> None:
    if not learner.loss.proxy_inputs:
        return
    heads = learner.network.heads.eval()
    statistics: dict[str, ClassStatistics] = {}
    for shallow, deep, labels in _labelled_maps(learner):
        embeddings = heads(shallow, deep)
        for name in learner.loss.proxy_inputs:
            vectors = embeddings.on(name)
            statistics.setdefault(name, ClassStatistics(learner.classes, vectors.shape[1])).add(vectors, labels)
    learner.loss.init_proxies({name: values.means.float() for name, values in statistics.items()})

"""Where a training starts: from what a few passes over the training images tell."""

from collections.abc import Iterator

import torch
from torch import Tensor

from model.training.learner import Learner
from model.training.norms import calibrate_norms
from model.training.validation import embed_rows, judge
from model.training.whitening import ClassStatistics, whiten_heads

WEIGHTS = (1.0, 0.35, 0.5, 0.7, 1.4, 2.0)
"""What is tried for a head whose weight is chosen; of equally good ones the first."""


def start(learner: Learner) -> None:
    """Calibrate the heads' norms and, where the start is not at random, whiten their projections and place the proxies."""
    heads = learner.network.heads
    calibrate_norms(heads, _labelled_maps(learner))  # first, as it changes what is whitened
    if learner.start == "whitened":
        whiten_heads(heads, lambda: _labelled_maps(learner), learner.classes)
        _weigh(learner)
        _place_proxies(learner)
    learner.average()


def _labelled_maps(learner: Learner) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    begin = 0
    learner.network.trunk.eval()
    for inputs in learner.plain(learner.train_rows):
        with torch.no_grad():
            shallow, deep = learner.network.trunk(*inputs) if len(inputs) == 1 else inputs
        labels = torch.from_numpy(learner.labels[begin : begin + len(deep)])
        begin += len(deep)
        yield shallow, deep, labels


@torch.no_grad()
def _weigh(learner: Learner) -> None:
    """Give one head the weight in the merged vector under which the validation classes are found best."""
    if learner.weighed is None or not len(learner.val_rows):
        return
    heads = learner.network.heads
    vectors = embed_rows(learner, learner.network, learner.val_rows).heads
    place = list(heads.architecture.heads).index(learner.weighed)
    figures = {}
    for weight in WEIGHTS:
        heads.weights[place] = weight
        figures[weight] = judge(learner, heads.merge(vectors))
    heads.weights[place] = max(WEIGHTS, key=lambda weight: figures[weight])


@torch.no_grad()
def _place_proxies(learner: Learner) -> None:
    if not learner.loss.proxied:
        return
    heads = learner.network.heads.eval()
    statistics: dict[str, ClassStatistics] = {}
    for shallow, deep, labels in _labelled_maps(learner):
        embeddings = heads(shallow, deep)
        for name in learner.loss.proxied:
            vectors = embeddings.on(name)
            statistics.setdefault(name, ClassStatistics(learner.classes, vectors.shape[1])).add(vectors, labels)
    learner.loss.place_proxies({name: values.means.float() for name, values in statistics.items()})

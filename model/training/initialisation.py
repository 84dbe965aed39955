"""The init of the heads, computed in a few passes over the training images."""

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from model.files import sha256_json
from model.networks.attention import IDENTITY_AT_INIT
from model.training.class_statistics import ClassStatistics
from model.training.learner import Learner
from model.training.norms import calibrate_norms
from model.training.trunk_modes import FrozenTrunk, FrozenVectors
from model.training.validation import embed_rows
from model.training.whitening import whiten_heads

Inits = dict[str, dict[str, Tensor]]
"""States of whitened heads, by the rows that they are whitened on."""


def init_heads(learner: Learner, known: Inits) -> None:
    """Calibrate the heads' norms and, if the init is `whitened`, whiten their projections.

    Args:
        learner: Training whose heads are initialised.
        known: States of whitened heads by training rows, of trainings on the same data and method; this one is added.
    """
    heads = learner.network.heads
    calibrate_norms(heads, _labelled_maps(learner))  # before the whitening, whose input depends on the norms
    if learner.candidate.init != "whitened":
        return
    key = sha256_json(learner.fold.train.tolist())
    if key not in known:
        known[key] = _whitened(learner)
    heads.load_state_dict(known[key], strict=False)


def _whitened(learner: Learner) -> dict[str, Tensor]:
    """The state of the whitened heads, the same for trainings with and without attention that is the identity at init."""
    heads = copy.deepcopy(learner.network.heads)
    for _, head in heads.named_heads():
        if head.spec.attention in IDENTITY_AT_INIT:
            head.attention = nn.Identity()
    whiten_heads(heads, lambda: _labelled_maps(learner), learner.classes)
    return heads.state_dict()


def finish_init(learner: Learner, weights: Mapping[str, float]) -> None:
    """Set the heads' weights in the merged vector, place the proxies after a whitened init, and copy all to the average."""
    learner.network.heads.set_weights(weights)
    if learner.candidate.init == "whitened":
        _init_proxies(learner)
    learner.average()


def project_once(learner: Learner) -> None:
    """Replace maps by projected vectors where only the residuals of projections are trained: steps and validations cost less."""
    network = learner.network
    if learner.candidate.whole_heads or not isinstance(learner.mode, FrozenTrunk):
        return
    rows = np.union1d(learner.fold.train, learner.fold.held_out)
    network.eval()
    with torch.no_grad():
        parts = [network.heads.projected(*maps).float().cpu() for maps in learner.unaugmented_batches(rows)]
    places = np.zeros(len(learner.manifest), dtype=np.int64)
    places[rows] = np.arange(len(rows))
    learner.mode = FrozenVectors(network, torch.cat(parts), places)


def _labelled_maps(learner: Learner) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    begin = 0
    learner.network.trunk.eval()
    for inputs in learner.unaugmented_batches(learner.fold.train):
        with torch.no_grad():
            shallow, deep = learner.network.trunk(*inputs) if len(inputs) == 1 else inputs
        labels = torch.from_numpy(learner.labels[begin : begin + len(deep)])
        begin += len(deep)
        yield shallow, deep, labels


@torch.no_grad()
def _init_proxies(learner: Learner) -> None:
    if not learner.loss.proxy_inputs:
        return
    embeddings, labels = embed_rows(learner, learner.network, learner.fold.train), torch.from_numpy(learner.labels)
    statistics: dict[str, ClassStatistics] = {}
    for name in learner.loss.proxy_inputs:
        vectors = embeddings.on(name)
        statistics[name] = ClassStatistics(learner.classes, vectors.shape[1])
        statistics[name].add(vectors, labels)
    learner.loss.init_proxies({name: values.means.float() for name, values in statistics.items()})

"""The weights of the heads in the merged vector, chosen on held-out classes."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from model.training.comparison import clearly_better, compared_figure
from model.training.learner import Learner
from model.training.validation import ClassFigures, embed_rows, mean, query_counts, search

MERGE_WEIGHTS = (1.0, 0.7, 1.4, 0.5, 2.0, 0.35, 2.8, 0.25, 4.0, 5.6)
"""Candidates for the weight of a tuned head in the merged vector, the simplest first."""
_ROUNDS = 2
"""How often each tuned head's weight is chosen, with the other weights as they were chosen last."""


@torch.no_grad()
def choose_weights(learners: Sequence[Learner], tuned_heads: Sequence[str]) -> dict[str, float]:
    """The weight of each head in the merged vector, by name. After a whitened init, those of the tuned heads are chosen.

    The few classes of a single fold choose no better than the method, whose weights stay (docs/decisions/0003-multi-head.md).

    The learners' networks keep the weights that were tried last, until `finish_init` sets those that were chosen.
    """
    weights = learners[0].network.heads.named_weights
    if learners[0].candidate.init != "whitened" or not tuned_heads or learners[0].config.fold_count == 1:
        return weights
    weights |= dict.fromkeys(tuned_heads, MERGE_WEIGHTS[0])
    vectors = [embed_rows(learner, learner.network, learner.fold.held_out).heads for learner in learners]
    counts = np.concatenate([query_counts(learner) for learner in learners])

    @cache  # the rounds come back to the same weights
    def figures(name: str, *tried: float) -> ClassFigures:
        found = []
        for learner, own in zip(learners, vectors, strict=True):
            heads = learner.network.heads
            heads.set_weights(dict(zip(heads.architecture.heads, tried, strict=True)))
            seen = search(learner, heads.merge(own))
            found.append(seen.by_class(getattr(seen, name)))
        return np.concatenate(found)

    criterion = compared_figure(figures("map_at_r", *weights.values()), counts)
    for _ in range(_ROUNDS):
        for head in tuned_heads:
            options = {weight: figures(criterion, *(weights | {head: weight}).values()) for weight in MERGE_WEIGHTS}
            best = max(options.values(), key=lambda values: mean(values, counts))
            weights[head] = next(weight for weight, values in options.items() if not clearly_better(best, values, counts))
    return weights

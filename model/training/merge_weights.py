"""The weights of the heads in the merged vector, chosen on held-out classes."""

from collections.abc import Sequence

import numpy as np
import torch

from model.training.comparison import clearly_better, compared_figure
from model.training.learner import Learner
from model.training.validation import Figures, embed_rows, mean, query_counts, search

MERGE_WEIGHTS = (1.0, 0.7, 1.4, 0.5, 2.0, 0.35, 2.8, 0.25, 4.0, 5.6)
"""Candidates for the weight of a tuned head in the merged vector, the simplest first."""
_ROUNDS = 2
"""How often each tuned head's weight is chosen, with the other weights as they were chosen last."""


@torch.no_grad()
def choose_weights(learners: Sequence[Learner], tuned_heads: Sequence[str]) -> dict[str, float]:
    """The weight of each head in the merged vector, by name. After a whitened init, those of the tuned heads are chosen.

    The learners' own weights are left as they were tried last.
    """
    weights = learners[0].network.heads.named_weights
    if learners[0].candidate.init != "whitened" or not tuned_heads:
        return weights
    vectors = [embed_rows(learner, learner.network, learner.fold.held_out).heads for learner in learners]
    counts = np.concatenate([query_counts(learner) for learner in learners])

    def figures(weights: dict[str, float], name: str) -> Figures:
        found = []
        for learner, own in zip(learners, vectors, strict=True):
            learner.network.heads.set_weights(weights)
            seen = search(learner, learner.network.heads.merge(own))
            found.append(seen.by_class(getattr(seen, name)))
        return np.concatenate(found)

    criterion = compared_figure(figures(weights, "map_at_r"), counts)
    for _ in range(_ROUNDS):
        for name in tuned_heads:
            options = {weight: figures(weights | {name: weight}, criterion) for weight in MERGE_WEIGHTS}
            best = max(options.values(), key=lambda values: mean(values, counts))
            weights[name] = next(weight for weight, values in options.items() if not clearly_better(best, values, counts))
    return weights

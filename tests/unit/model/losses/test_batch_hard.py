"""The batch-hard triplet loss against plain Python."""

import math

import numpy as np
import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few


def batch_hard(vectors, labels):
    """Softplus of the furthest like image's distance less the nearest unlike one's, over those that have a like one."""
    costs = []
    for i, one in enumerate(vectors):
        like = [np.linalg.norm(one - other) for j, other in enumerate(vectors) if j != i and labels[j] == labels[i]]
        unlike = [np.linalg.norm(one - other) for j, other in enumerate(vectors) if labels[j] != labels[i]]
        if like and unlike:
            costs.append(math.log(1 + math.exp(max(like) - min(unlike))))
    return np.mean(costs)


@pytest.mark.parametrize("seed", range(3))
def test_batch_hard_is_the_softplus_of_the_furthest_like_less_the_nearest_unlike(seed):
    said = TERMS["batch_hard"](CLASSES, 3)(few(seed), torch.tensor(LABELS)).item()
    assert said == pytest.approx(batch_hard(few(seed).numpy(), LABELS))

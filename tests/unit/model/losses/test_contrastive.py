"""The contrastive loss against plain Python."""

import numpy as np
import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few


def contrastive(vectors, labels):
    """ABE's, of squared distances, positives and negatives averaged on their own over those that cost anything."""
    positives, negatives = [], []
    for i, one in enumerate(vectors):
        for j, other in enumerate(vectors):
            squared = ((one - other) ** 2).sum()
            if i != j:
                (positives if labels[i] == labels[j] else negatives).append(squared if labels[i] == labels[j] else 1 - squared)
    return sum(np.mean([cost for cost in costs if cost > 0] or [0]) for costs in (positives, negatives))


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_is_of_squared_distances(seed):
    said = TERMS["contrastive"](CLASSES, 3)(few(seed), torch.tensor(LABELS)).item()
    assert said == pytest.approx(contrastive(few(seed).numpy(), LABELS))


def test_contrastive_by_hand():
    # like at a right angle: 2; unlike at 120 degrees from one, which costs nothing, and at 30 from the other: 1 - (2 - sqrt(3))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.75**0.5, -0.5]], dtype=torch.float64)
    said = TERMS["contrastive"](2, 2)(vectors, torch.tensor([0, 0, 1])).item()
    assert said == pytest.approx(2 + 3**0.5 - 1)

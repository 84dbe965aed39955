"""SOLAR's triplet loss against plain Python over all triples."""

import pytest
import torch

from model.losses.triplet import HardTriplets, Triplet
from tests.support.triplets import LABELS, batch, hard_triplets, squared


@pytest.mark.parametrize("seed", range(5))
def test_hard_triplets_are_every_like_pair_with_the_anchors_nearest_negative(seed):
    vectors = batch(seed)
    found = list(zip(*(rows.tolist() for rows in HardTriplets()(vectors, torch.tensor(LABELS))), strict=True))
    assert len(found) == 3 * 2 + 2 * 1
    assert set(found) == hard_triplets(vectors, LABELS)


@pytest.mark.parametrize("margin", [0.2, 1.25])
@pytest.mark.parametrize("seed", range(5))
def test_the_triplet_loss_is_the_mean_of_the_worst_violations_above_zero(seed, margin):
    vectors, rows = batch(seed), range(len(LABELS))
    worst = [
        max(squared(vectors[a], vectors[p]) - squared(vectors[a], vectors[n]) for n in rows if LABELS[n] != LABELS[a]) + margin
        for a in rows
        for p in rows
        if a != p and LABELS[a] == LABELS[p]
    ]
    above = [violation for violation in worst if violation > 0]
    said = Triplet(margin)(vectors, torch.tensor(LABELS)).item()
    assert said == pytest.approx(sum(above) / len(above) if above else 0.0)


def test_the_triplet_loss_has_solars_margin():
    # anchor and positive on one spot, the negative at a right angle: 0 - 2 + 1.25 < 0; at 60 degrees: 0 - 1 + 1.25
    labels = torch.tensor([0, 0, 1])
    right = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    near = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    assert Triplet()(right, labels).item() == 0
    assert Triplet()(near, labels).item() == pytest.approx(0.25, abs=1e-6)

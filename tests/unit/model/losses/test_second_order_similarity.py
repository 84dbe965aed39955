"""SOLAR's losses against plain Python over all triples."""

import math

import pytest
import torch
import torch.nn.functional as F

from model.losses.second_order_similarity import SecondOrderSimilarity, second_order_similarity
from model.losses.triplet import HardTriplets, Triplet

LABELS = [0, 0, 0, 1, 1, 2]  # the last image is alone in its class: a negative only


def batch(seed: int = 0) -> torch.Tensor:
    """Embeddings (6, 3) float64 at unit length."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(len(LABELS), 3, generator=generator, dtype=torch.float64), dim=1)


def squared(one: torch.Tensor, other: torch.Tensor) -> float:
    return sum((a - b) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True))


def hard_triplets(vectors: torch.Tensor, labels: list[int]) -> set[tuple[int, int, int]]:
    """Of all triples with one anchor and one positive, that whose negative is nearest to the anchor."""
    rows = range(len(labels))
    return {
        min(
            ((a, p, n) for n in rows if labels[n] != labels[a]),
            key=lambda triple: squared(vectors[triple[0]], vectors[triple[2]]),
        )
        for a in rows
        for p in rows
        if a != p and labels[a] == labels[p]
    }


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


def test_second_order_similarity_by_hand():
    anchor, positive = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [1.0, 2.0]])
    negative = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    # ||a - n||^2 = 4 and 4, ||p - n||^2 = 10 and 5: differences -6 and -1
    assert second_order_similarity(anchor, positive, negative).item() == pytest.approx(math.sqrt(36 + 1) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_term_is_the_formula_over_hard_triplets(seed):
    vectors = batch(seed)
    triplets = hard_triplets(vectors, LABELS)
    total = sum((squared(vectors[a], vectors[n]) - squared(vectors[p], vectors[n])) ** 2 for a, p, n in triplets)
    said = SecondOrderSimilarity()(vectors, torch.tensor(LABELS)).item()
    assert said == pytest.approx(math.sqrt(total) / len(triplets))


def test_where_all_distances_agree_it_is_zero_with_a_gradient_of_zero():
    anchor = torch.tensor([[1.0, 0.0], [0.6, 0.8]], requires_grad=True)
    positive = torch.tensor([[-1.0, 0.0], [0.6, -0.8]], requires_grad=True)
    negative = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], requires_grad=True)
    loss = second_order_similarity(anchor, positive, negative)
    loss.backward()
    assert loss.item() == 0
    for tensor in (anchor, positive, negative):
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


def test_its_gradient_is_right():
    torch.manual_seed(0)
    triplets = tuple(torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(second_order_similarity, triplets)


@pytest.mark.parametrize("term", [Triplet(), SecondOrderSimilarity()], ids=["triplet", "second order similarity"])
def test_the_gradient_of_the_terms_is_right(term):
    assert torch.autograd.gradcheck(lambda vectors: term(vectors, torch.tensor(LABELS)), (batch().requires_grad_(),))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0]], ids=["no positive", "no negative"])
@pytest.mark.parametrize("term", [Triplet(), SecondOrderSimilarity()], ids=["triplet", "second order similarity"])
def test_a_batch_without_triplets_costs_nothing_and_its_gradient_is_finite(term, labels):
    vectors = batch().requires_grad_()
    loss = term(vectors, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is None or torch.equal(vectors.grad, torch.zeros_like(vectors))

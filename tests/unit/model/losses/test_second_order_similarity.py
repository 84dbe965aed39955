"""SOLAR's second-order similarity against plain Python over all triples."""

import math

import pytest
import torch

from model.losses.second_order_similarity import SecondOrderSimilarity, second_order_similarity
from model.losses.triplet import Triplet
from tests.support.triplets import LABELS, batch, hard_triplets, squared


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

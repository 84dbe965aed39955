"""Both losses written out from their papers, place by place, in plain Python."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.losses.hybrid import HybridLoss
from model.networks.heads import Embeddings
from model.networks.methods import METHODS, HeadSpec, LossSpec, Method, hybrid

LABELS = [0, 0, 1, 1, 1, 2]
CLASSES = 4  # one of them has no picture in the batch


def multi_similarity(vectors, labels, alpha=2.0, beta=50.0, threshold=0.5):
    """X. Wang et al., CVPR 2019, equation 15, over all pairs."""
    total = 0.0
    for i, one in enumerate(vectors):
        like = [one @ other for j, other in enumerate(vectors) if j != i and labels[j] == labels[i]]
        unlike = [one @ other for j, other in enumerate(vectors) if labels[j] != labels[i]]
        total += math.log(1 + sum(math.exp(-alpha * (s - threshold)) for s in like)) / alpha
        total += math.log(1 + sum(math.exp(beta * (s - threshold)) for s in unlike)) / beta
    return total / len(vectors)


def proxy_anchor(vectors, labels, proxies, alpha=32.0, delta=0.1):
    """S. Kim et al., CVPR 2020, equation 4."""
    pull = push = 0.0
    for label, proxy in enumerate(proxies / np.linalg.norm(proxies, axis=1, keepdims=True)):
        positives = [vector @ proxy for vector, own in zip(vectors, labels, strict=True) if own == label]
        negatives = [vector @ proxy for vector, own in zip(vectors, labels, strict=True) if own != label]
        pull += math.log(1 + sum(math.exp(-alpha * (s - delta)) for s in positives)) if positives else 0
        push += math.log(1 + sum(math.exp(alpha * (s + delta)) for s in negatives))
    return pull / len(set(labels)) + push / len(proxies)


def batch(method: Method) -> Embeddings:
    torch.manual_seed(0)
    heads = {name: F.normalize(torch.randn(len(LABELS), spec.dimensions), dim=1) for name, spec in method.heads.items()}
    return Embeddings(F.normalize(torch.cat(list(heads.values()), dim=1), dim=1), heads)


def by_hand(method: Method, loss: HybridLoss, embeddings: Embeddings) -> float:
    total = 0.0
    for spec, term in zip(method.losses, loss.terms, strict=True):
        vectors = embeddings.on(spec.on).double().numpy()
        if spec.name == "multi_similarity":
            total += spec.weight * multi_similarity(vectors, LABELS)
        else:
            total += spec.weight * proxy_anchor(vectors, LABELS, term.proxies.detach().double().numpy())
    return total


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_loss_of_every_method_is_the_weighted_sum_of_both_papers_losses(name):
    method = METHODS[name]
    embeddings, loss = batch(method), HybridLoss(method, CLASSES)
    said = loss(embeddings, torch.tensor(LABELS)).item()
    assert said == pytest.approx(by_hand(method, loss, embeddings), abs=1e-5, rel=1e-5)
    assert said > 0.1


def test_two_pictures_on_one_spot_and_one_opposite_give_figures_a_person_can_check():
    method = Method({"global": HeadSpec("deep", 2)}, (LossSpec("multi_similarity", "merged", 1.0),))
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    said = HybridLoss(method, 2)(Embeddings(vectors, {}), torch.tensor([0, 0, 1])).item()
    pair, apart = math.log(1 + math.exp(-1)) / 2, math.log(1 + math.exp(-75)) / 50
    third = math.log(1 + 2 * math.exp(-75)) / 50
    assert said == pytest.approx((2 * (pair + apart) + third) / 3, abs=1e-6)


def test_the_proxy_loss_weighs_three_hundredths_of_the_pairwise_one():
    assert hybrid("merged", 0.5) == (LossSpec("multi_similarity", "merged", 0.5), LossSpec("proxy_anchor", "merged", 0.015))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_both_losses_stand_on_the_merged_embedding_and_on_every_head(name):
    method = METHODS[name]
    assert {(spec.name, spec.on) for spec in method.losses} == {
        (loss, on) for loss in ("multi_similarity", "proxy_anchor") for on in ("merged", *method.heads)
    }


def test_proxies_are_placed_at_the_class_means_and_keep_their_length():
    method = Method({"global": HeadSpec("deep", 3)}, hybrid("merged") + hybrid("global"))
    loss = HybridLoss(method, 2)
    lengths = [term.proxies.norm(dim=1).mean().item() for term in loss.terms if hasattr(term, "proxies")]
    means = {
        "merged": torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]]),
        "global": torch.tensor([[0.0, 0.0, 9.0], [0.0, 5.0, 0.0]]),
    }
    loss.place_proxies(means)
    placed = [term.proxies for term in loss.terms if hasattr(term, "proxies")]
    assert torch.allclose(placed[0], lengths[0] * torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]), atol=1e-6)
    assert torch.allclose(placed[1], lengths[1] * torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), atol=1e-6)


def test_a_batch_without_like_pairs_still_has_a_finite_loss_and_gradient():
    method = METHODS["multi_head"]
    embeddings = batch(method)
    merged = embeddings.merged.clone().requires_grad_(True)
    loss = HybridLoss(method, 6)(Embeddings(merged, embeddings.heads), torch.arange(6))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(merged.grad).all()


def test_the_proxies_are_all_that_the_loss_learns():
    loss = HybridLoss(METHODS["multi_head"], CLASSES)
    assert sorted(tuple(parameter.shape) for parameter in loss.parameters()) == [(4, 128), (4, 384), (4, 512)]

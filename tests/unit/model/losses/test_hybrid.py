"""The hybrid loss against the weighted sum of the papers' losses; and its proxies."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.errors import InvalidInput
from model.losses.hybrid import HybridLoss
from model.losses.terms import TERMS, LossSpec
from model.networks.heads import Embeddings
from model.networks.methods import ABLATIONS, METHODS, PRINTED_PROXY, Method, hybrid
from tests.support.losses import CLASSES, LABELS, multi_similarity, normalized_softmax, proxy_anchor


def widths(method: Method) -> dict[str, int]:
    heads = method.architecture.heads
    return {"merged": method.architecture.dimensions, "attended": 7} | {name: spec.dimensions for name, spec in heads.items()}


def batch(method: Method) -> Embeddings:
    torch.manual_seed(0)
    heads = {
        name: F.normalize(torch.randn(len(LABELS), spec.dimensions), dim=1) for name, spec in method.architecture.heads.items()
    }
    local = {"attended": torch.randn(len(LABELS), 7), "reconstruction_error": torch.rand(len(LABELS))}
    return Embeddings(F.normalize(torch.cat(list(heads.values()), dim=1), dim=1), heads, local)


def by_hand(method: Method, loss: HybridLoss, embeddings: Embeddings) -> float:
    total = 0.0
    for spec, term in zip(method.losses, loss.terms, strict=True):
        vectors = embeddings.on(spec.on).double().numpy()
        if spec.name == "multi_similarity":
            total += spec.weight * multi_similarity(vectors, LABELS)
        elif spec.name == "normalized_softmax":
            total += spec.weight * normalized_softmax(vectors, LABELS, term.W.detach().double().numpy())
        else:
            total += spec.weight * proxy_anchor(vectors, LABELS, term.proxies.detach().double().numpy())
    return total


HYBRID = ["multi_head", "multi_head_paper", "proxy_anchor_instead", "loss_on_heads_only", "global_only", "proxy_anchor_only"]


@pytest.mark.parametrize("name", HYBRID)
def test_the_hybrid_loss_is_the_weighted_sum_of_both_papers_losses(name):
    method = (METHODS | ABLATIONS)[name]
    embeddings, loss = batch(method), HybridLoss(method.losses, widths(method), CLASSES)
    said = loss(embeddings, torch.tensor(LABELS)).item()
    assert said == pytest.approx(by_hand(method, loss, embeddings), abs=1e-5, rel=1e-5)
    assert said > 0.1


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_loss_of_every_method_is_the_weighted_sum_of_its_terms(name):
    method = METHODS[name]
    embeddings, loss, labels = batch(method), HybridLoss(method.losses, widths(method), CLASSES), torch.tensor(LABELS)
    said = [term(embeddings.on(spec.on), labels).item() for spec, term in zip(method.losses, loss.terms, strict=True)]
    weights = [spec.weight for spec in method.losses]
    assert loss(embeddings, labels).item() == pytest.approx(float(np.dot(weights, said)), rel=1e-5)


def test_two_images_on_one_spot_and_one_opposite_give_figures_a_person_can_check():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    loss = HybridLoss([LossSpec("multi_similarity", "merged", 1.0)], {"merged": 2}, 2)
    said = loss(Embeddings(vectors, {}), torch.tensor([0, 0, 1])).item()
    pair, apart = math.log(1 + math.exp(-1)) / 2, math.log(1 + math.exp(-75)) / 50
    third = math.log(1 + 2 * math.exp(-75)) / 50
    assert said == pytest.approx((2 * (pair + apart) + third) / 3, abs=1e-6)


def test_the_papers_proxy_loss_weighs_three_hundredths_of_the_pairwise_one():
    pair = LossSpec("multi_similarity", "merged", 0.5), LossSpec("proxy_anchor", "merged", 0.015)
    assert hybrid("merged", 0.5, PRINTED_PROXY) == pair


@pytest.mark.parametrize(("name", "proxy"), [("multi_head", "normalized_softmax"), ("multi_head_paper", "proxy_anchor")])
def test_both_losses_stand_on_the_merged_embedding_and_on_every_head(name, proxy):
    method = METHODS[name]
    assert {(spec.name, spec.on) for spec in method.losses} == {
        (loss, on) for loss in ("multi_similarity", proxy) for on in ("merged", *method.architecture.heads)
    }


def test_proxies_are_placed_at_the_class_means_and_keep_their_length():
    loss = HybridLoss(hybrid("merged", 1.0, PRINTED_PROXY) + hybrid("global", 1.0, PRINTED_PROXY), {"merged": 3, "global": 3}, 2)
    assert loss.proxy_inputs == ("merged", "global")
    lengths = [term.proxies.norm(dim=1).mean().item() for term in loss.terms if hasattr(term, "proxies")]
    means = {
        "merged": torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]]),
        "global": torch.tensor([[0.0, 0.0, 9.0], [0.0, 5.0, 0.0]]),
    }
    loss.init_proxies(means)
    placed = [term.proxies for term in loss.terms if hasattr(term, "proxies")]
    assert torch.allclose(placed[0], lengths[0] * torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]), atol=1e-6)
    assert torch.allclose(placed[1], lengths[1] * torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), atol=1e-6)


@pytest.mark.parametrize("name", ["arcface", "normalized_softmax"])
def test_a_classifiers_columns_are_placed_as_proxies_are(name):
    loss = HybridLoss([LossSpec(name, "merged"), LossSpec("batch_hard", "merged")], {"merged": 3}, 2)
    length = loss.terms[0].W.norm(dim=0).mean().item()
    loss.init_proxies({"merged": torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]])})
    assert loss.proxy_inputs == ("merged",)
    assert torch.allclose(loss.terms[0].W, length * torch.tensor([[1.0, 0.0], [0.0, 0.6], [0.0, 0.8]]), atol=1e-6)


class Undeclared(torch.nn.Module):
    """A term whose author forgot to declare its proxies."""

    def __init__(self, classes, width):
        super().__init__()
        self.inner = torch.nn.Parameter(torch.zeros(classes, width))


class Misshapen(Undeclared):
    """A term that declares one proxy too few."""

    @property
    def class_proxies(self):
        return self.inner[1:]


@pytest.mark.parametrize(("term", "said"), [(Undeclared, "does not declare class_proxies"), (Misshapen, r"shape \(1, 3\)")])
def test_a_term_that_learns_and_does_not_declare_its_proxies_is_refused(monkeypatch, term, said):
    monkeypatch.setitem(TERMS, "new", term)
    with pytest.raises(InvalidInput, match=said) as caught:
        HybridLoss([LossSpec("new", "merged")], {"merged": 3}, 2)
    assert caught.value.hint


def test_proxies_without_means_to_start_from_are_refused():
    loss = HybridLoss([LossSpec("proxy_anchor", "merged")], {"merged": 3}, 2)
    with pytest.raises(InvalidInput, match="proxies of the loss term proxy_anchor cannot be placed"):
        loss.init_proxies({})


def test_a_linear_classifier_has_no_proxies():
    assert HybridLoss([LossSpec("softmax", "attended"), LossSpec("triplet", "merged")], {"attended": 3}, 2).proxy_inputs == ()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_batch_without_like_pairs_still_has_a_finite_loss_and_gradient(name):
    method = METHODS[name]
    embeddings = batch(method)
    merged = embeddings.merged.clone().requires_grad_(True)
    heads = {head: vectors.clone().requires_grad_(True) for head, vectors in embeddings.heads.items()}
    loss = HybridLoss(method.losses, widths(method), 6)(Embeddings(merged, heads, embeddings.local), torch.arange(6))
    assert torch.isfinite(loss)
    if loss.requires_grad:  # a batch without triplets costs nothing
        loss.backward()
    for vectors in (merged, *heads.values()):
        assert vectors.grad is None or torch.isfinite(vectors.grad).all()


def test_the_proxies_are_all_that_the_hybrid_loss_learns():
    method = METHODS["multi_head"]
    loss = HybridLoss(method.losses, widths(method), CLASSES)
    assert sorted(tuple(parameter.shape) for parameter in loss.parameters()) == [(64, 4), (192, 4), (256, 4), (512, 4)]

"""Every loss written out from its paper, pair by pair, in plain Python."""

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

LABELS = [0, 0, 1, 1, 1, 2]
CLASSES = 4  # one of them has no image in the batch


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


def contrastive(vectors, labels):
    """ABE's, of squared distances, positives and negatives averaged on their own over those that cost anything."""
    positives, negatives = [], []
    for i, one in enumerate(vectors):
        for j, other in enumerate(vectors):
            squared = ((one - other) ** 2).sum()
            if i != j:
                (positives if labels[i] == labels[j] else negatives).append(squared if labels[i] == labels[j] else 1 - squared)
    return sum(np.mean([cost for cost in costs if cost > 0] or [0]) for costs in (positives, negatives))


def softmax_loss(logits, labels):
    """The mean cross-entropy of logits, image by image."""
    return np.mean([math.log(sum(np.exp(row - row[label]))) for row, label in zip(logits, labels, strict=True)])


def arcface(vectors, labels, columns, scale):
    """scale * cos(angle), with 0.1 radians added to the angle to one's own class."""
    angles = np.arccos(vectors @ (columns / np.linalg.norm(columns, axis=0)))
    own = np.arange(columns.shape[1]) == np.array(labels)[:, None]
    return softmax_loss(scale * np.cos(angles + 0.1 * own), labels)


def normalized_softmax(vectors, labels, columns):
    """A cosine classifier at temperature 0.05."""
    return softmax_loss(vectors @ (columns / np.linalg.norm(columns, axis=0)) / 0.05, labels)


def batch_hard(vectors, labels):
    """Softplus of the furthest like image's distance less the nearest unlike one's, over those that have a like one."""
    costs = []
    for i, one in enumerate(vectors):
        like = [np.linalg.norm(one - other) for j, other in enumerate(vectors) if j != i and labels[j] == labels[i]]
        unlike = [np.linalg.norm(one - other) for j, other in enumerate(vectors) if labels[j] != labels[i]]
        if like and unlike:
            costs.append(math.log(1 + math.exp(max(like) - min(unlike))))
    return np.mean(costs)


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


def few(seed: int = 0) -> torch.Tensor:
    """Embeddings (6, 3) float64 at unit length."""
    return F.normalize(torch.randn(len(LABELS), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_is_of_squared_distances(seed):
    said = TERMS["contrastive"](CLASSES, 3)(few(seed), torch.tensor(LABELS)).item()
    assert said == pytest.approx(contrastive(few(seed).numpy(), LABELS))


def test_contrastive_by_hand():
    # like at a right angle: 2; unlike at 120 degrees from one, which costs nothing, and at 30 from the other: 1 - (2 - sqrt(3))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.75**0.5, -0.5]], dtype=torch.float64)
    said = TERMS["contrastive"](2, 2)(vectors, torch.tensor([0, 0, 1])).item()
    assert said == pytest.approx(2 + 3**0.5 - 1)


def test_arcface_adds_a_tenth_of_a_radian_to_the_angle_of_ones_own_class():
    torch.manual_seed(0)
    term = TERMS["arcface"](CLASSES, 3)
    said = term(few(), torch.tensor(LABELS)).item()
    assert said == pytest.approx(arcface(few().numpy(), LABELS, term.W.detach().double().numpy(), 2048**0.5), rel=1e-4)


def test_arcfaces_scale_starts_at_the_root_of_2048_and_learns():
    torch.manual_seed(0)
    term = TERMS["arcface"](CLASSES, 3)
    assert {name: tuple(value.shape) for name, value in term.named_parameters()} == {"W": (3, CLASSES), "scale": ()}
    assert term.scale.item() == pytest.approx(45.2548, abs=1e-4)
    vectors, labels = few(), torch.tensor(LABELS)
    term(vectors, labels).backward()
    term.double()
    steps = []
    for step in (-1e-4, 1e-4):
        with torch.no_grad():
            columns = term.W.numpy()
            steps.append(arcface(vectors.numpy(), LABELS, columns, 2048**0.5 + step))
    assert term.scale.grad.item() == pytest.approx((steps[1] - steps[0]) / 2e-4, rel=1e-3)
    before = term.scale.item()
    torch.optim.SGD(term.parameters(), lr=1e-2).step()
    assert term.scale.item() != before
    assert "scale" in term.state_dict()


def test_softmax_is_the_cross_entropy_of_a_linear_classifier():
    torch.manual_seed(0)
    term = TERMS["softmax"](CLASSES, 3).double()
    weight, bias = term.classifier.weight.detach().numpy(), term.classifier.bias.detach().numpy()
    vectors = 3 * few()
    said = term(vectors, torch.tensor(LABELS)).item()
    assert said == pytest.approx(softmax_loss(vectors.numpy() @ weight.T + bias, LABELS))


def test_normalized_softmax_is_a_cosine_classifier_at_a_temperature():
    torch.manual_seed(0)
    term = TERMS["normalized_softmax"](CLASSES, 3).double()
    said = term(few(), torch.tensor(LABELS)).item()
    assert said == pytest.approx(normalized_softmax(few().numpy(), LABELS, term.W.detach().numpy()))


@pytest.mark.parametrize("seed", range(3))
def test_batch_hard_is_the_softplus_of_the_furthest_like_less_the_nearest_unlike(seed):
    said = TERMS["batch_hard"](CLASSES, 3)(few(seed), torch.tensor(LABELS)).item()
    assert said == pytest.approx(batch_hard(few(seed).numpy(), LABELS))


def test_the_reconstruction_term_is_the_mean_of_the_errors():
    assert TERMS["reconstruction"](CLASSES, 0)(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0, 1, 1])).item() == 3


@pytest.mark.parametrize("name", sorted(TERMS.keys() - {"divergence", "reconstruction"}))
def test_the_gradient_of_every_term_is_right(name):
    torch.manual_seed(0)
    term = TERMS[name](CLASSES, 3).double()
    assert torch.autograd.gradcheck(lambda vectors: term(vectors, torch.tensor(LABELS)), (few().requires_grad_(),))


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


@pytest.mark.parametrize("name", sorted(TERMS))
def test_every_term_with_parameters_of_each_class_places_them_or_declares_that_they_start_at_random(name):
    classes, width = 17, 5
    loss = HybridLoss([LossSpec(name, "merged")], {"merged": width}, classes)
    per_class = [parameter for parameter in loss.parameters() if classes in parameter.shape]
    if name == "softmax":
        assert per_class
        assert loss.terms[0].class_proxies is None
        return
    assert bool(loss.proxy_inputs) == bool(per_class)
    means = torch.randn(classes, width)
    before = [parameter.clone() for parameter in per_class]
    if per_class:
        loss.init_proxies({"merged": means})
    for old, new in zip(before, per_class, strict=True):
        assert not torch.equal(old, new)
        rows = new if new.shape[0] == classes else new.T
        torch.testing.assert_close(F.normalize(rows, dim=1), F.normalize(means, dim=1))


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
    assert sorted(tuple(parameter.shape) for parameter in loss.parameters()) == [(128, 4), (384, 4), (512, 4)]

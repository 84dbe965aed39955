import pytest
import torch
import torch.nn.functional as F

from model.losses.divergence import Divergence

LABELS = torch.tensor([0, 0, 1, 1])


def learners(count: int = 3) -> torch.Tensor:
    """Embeddings (M, 4, 3) float64 at unit length, near enough for the margin."""
    torch.manual_seed(0)
    return F.normalize(torch.randn(4, 3, dtype=torch.float64) + 0.3 * torch.randn(count, 4, 3, dtype=torch.float64), dim=2)


def slow(embeddings: torch.Tensor, margin: float) -> float:
    """ABE's equation 8, pair by pair of learners and image by image."""
    total = 0.0
    count, images, _ = embeddings.shape
    for image in range(images):
        for p in range(count):
            for q in range(p + 1, count):
                one, other = embeddings[p, image].tolist(), embeddings[q, image].tolist()
                distance = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
                total += max(0.0, margin - distance)
    return total / images


def test_three_learners_by_hand():
    # of one image: at 0, 60 and 90 degrees; squared distances 1, 2 and 2 - sqrt(3)
    embeddings = torch.tensor([[[1.0, 0.0]], [[0.5, 0.75**0.5]], [[0.0, 1.0]]])
    assert Divergence()(embeddings, LABELS[:1]).item() == pytest.approx(0 + 0 + (1 - (2 - 3**0.5)), abs=1e-6)


@pytest.mark.parametrize("margin", [0.1, 1.0, 3.0])
def test_it_is_the_equation_of_the_paper(margin):
    said = Divergence(margin)(learners(), LABELS).item()
    assert said == pytest.approx(slow(learners(), margin))
    assert said > 0


def test_images_are_not_compared_with_one_another():
    order = torch.tensor([2, 0, 3, 1])
    assert Divergence()(learners()[:, order], LABELS).item() == pytest.approx(Divergence()(learners(), LABELS).item())


def test_learners_that_agree_cost_the_whole_margin_and_have_no_gradient():
    embeddings = learners(1).repeat(3, 1, 1).requires_grad_()
    loss = Divergence()(embeddings, LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(3.0)
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_its_gradient_is_right_and_pushes_learners_apart():
    embeddings = learners().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: Divergence()(values, LABELS), (embeddings,))
    Divergence()(embeddings, LABELS).backward()
    moved = embeddings.detach() - 0.01 * embeddings.grad
    assert slow(moved, 1.0) < slow(embeddings.detach(), 1.0)

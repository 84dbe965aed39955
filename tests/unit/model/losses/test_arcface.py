"""ArcFace against plain Python."""

import numpy as np
import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few, softmax_loss


def arcface(vectors, labels, columns, scale):
    """scale * cos(angle), with 0.1 radians added to the angle to one's own class."""
    angles = np.arccos(vectors @ (columns / np.linalg.norm(columns, axis=0)))
    own = np.arange(columns.shape[1]) == np.array(labels)[:, None]
    return softmax_loss(scale * np.cos(angles + 0.1 * own), labels)


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

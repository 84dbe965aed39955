"""The softmax loss against plain Python."""

import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few, softmax_loss


def test_softmax_is_the_cross_entropy_of_a_linear_classifier():
    torch.manual_seed(0)
    term = TERMS["softmax"](CLASSES, 3).double()
    weight, bias = term.classifier.weight.detach().numpy(), term.classifier.bias.detach().numpy()
    vectors = 3 * few()
    said = term(vectors, torch.tensor(LABELS)).item()
    assert said == pytest.approx(softmax_loss(vectors.numpy() @ weight.T + bias, LABELS))

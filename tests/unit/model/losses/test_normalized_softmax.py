"""The normalised softmax loss against plain Python."""

import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few, normalized_softmax


def test_normalized_softmax_is_a_cosine_classifier_at_a_temperature():
    torch.manual_seed(0)
    term = TERMS["normalized_softmax"](CLASSES, 3).double()
    said = term(few(), torch.tensor(LABELS)).item()
    assert said == pytest.approx(normalized_softmax(few().numpy(), LABELS, term.W.detach().numpy()))

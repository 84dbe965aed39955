"""The reconstruction loss by hand."""

import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES


def test_the_reconstruction_term_is_the_mean_of_the_errors():
    assert TERMS["reconstruction"](CLASSES, 0)(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0, 1, 1])).item() == 3

"""The register of loss terms: every term has a right gradient and declares its proxies."""

import pytest
import torch
import torch.nn.functional as F

from model.losses.hybrid import HybridLoss
from model.losses.terms import TERMS, LossSpec
from tests.support.losses import CLASSES, LABELS, few


@pytest.mark.parametrize("name", sorted(TERMS.keys() - {"divergence", "reconstruction"}))
def test_the_gradient_of_every_term_is_right(name):
    torch.manual_seed(0)
    term = TERMS[name](CLASSES, 3).double()
    assert torch.autograd.gradcheck(lambda vectors: term(vectors, torch.tensor(LABELS)), (few().requires_grad_(),))


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

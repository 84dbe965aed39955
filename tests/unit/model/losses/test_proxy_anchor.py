"""Proxy Anchor against plain Python."""

import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few, proxy_anchor


def test_proxy_anchor_is_the_papers_sum_over_proxies():
    torch.manual_seed(0)
    term = TERMS["proxy_anchor"](CLASSES, 3).double()
    said = term(few(), torch.tensor(LABELS)).item()
    assert said == pytest.approx(proxy_anchor(few().numpy(), LABELS, term.proxies.detach().numpy()))

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def as_trained() -> Callable[[nn.Module], nn.Module]:
    """Turns a block into what training might leave: float64, nothing zero, batch norm with statistics of its own."""

    @torch.no_grad()
    def randomise(block: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        for parameter in block.double().eval().parameters():
            parameter.copy_(torch.randn_like(parameter))
        for norm in (part for part in block.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.running_mean.copy_(torch.randn(norm.num_features))
            norm.running_var.copy_(torch.rand(norm.num_features) + 0.5)
        return block

    return randomise

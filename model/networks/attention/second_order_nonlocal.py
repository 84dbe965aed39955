"""SONA's second-order non-local attention over positions."""

import torch
from torch import Tensor, nn


class SecondOrderNonLocalAttention(nn.Module):
    """Every position of the map receives a weighted sum of the positions whose channels vary with its own.

    z = x + p(softmax(S / sqrt(d)) g(x)). S = t J t^T / d is the covariance of the positions, t = theta(x) their values (HW, d)
    after a 1x1 reduction (batch norm, leaky ReLU), g a 1x1 convolution, J = I - 1 1^T / d, and p a 1x1 convolution that is
    initialised with zeros, so the block is the identity before training (Xia et al., SONA, ICCV 2019, section 3).

    J centres over channels: S is a (HW, HW) matrix, so the positions are the variables and their d channels the observations,
    whose mean a covariance subtracts. Centring over positions would not give a covariance of positions. Unlike in
    `second_order`, one projection serves as query and key, so S is symmetric, and a constant added to all reduced channels of a
    position changes nothing.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(2, channels // reduction)  # a position with a single channel has no variance
        self.theta = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.LeakyReLU(0.1))
        self.value = nn.Conv2d(channels, inner, 1)
        self.projection = nn.Conv2d(inner, channels, 1)
        self.scale = inner**-0.5
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]  # made with a bias above

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        affinity = torch.softmax(covariance_of_positions(self.theta(features)) * self.scale, dim=-1)
        gathered = torch.einsum("bij,bcj->bci", affinity, self.value(features).flatten(2))
        refined: Tensor = self.projection(gathered.unflatten(2, features.shape[2:]))
        return features + refined


def covariance_of_positions(features: Tensor) -> Tensor:
    """Features (B, d, H, W) -> (B, HW, HW), the covariance of two positions over their channels, divided by d and not d - 1."""
    positions = features.flatten(2)
    centred = positions - positions.mean(dim=1, keepdim=True)
    return torch.einsum("bci,bcj->bij", centred, centred) / positions.shape[1]

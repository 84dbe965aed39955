"""SOLAR's second-order attention over positions."""

import torch
from torch import Tensor, nn


class SecondOrderAttention(nn.Module):
    """Every position of the map receives a weighted sum of the positions that are similar to it.

    f_so = f + psi(softmax(alpha q^T k) v), with 1x1 convolutions q and k (batch norm, ReLU), v and psi. psi is initialised with
    zeros, so the block is the identity before training (Ng et al., SOLAR, ECCV 2020, section 3.2).
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.query = _projection(channels, inner)
        self.key = _projection(channels, inner)
        self.value = nn.Conv2d(channels, inner, 1)
        self.psi = nn.Conv2d(inner, channels, 1)
        self.scale = inner**-0.5
        nn.init.zeros_(self.psi.weight)
        nn.init.zeros_(self.psi.bias)  # type: ignore[arg-type]  # made with a bias above

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        query, key, value = (layer(features).flatten(2) for layer in (self.query, self.key, self.value))
        affinity = torch.softmax(torch.einsum("bci,bcj->bij", query, key) * self.scale, dim=-1)  # (B, HW, HW)
        gathered = torch.einsum("bij,bcj->bci", affinity, value).unflatten(2, features.shape[2:])
        return features + self.psi(gathered)


def _projection(channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())

"""Second-order non-local attention over places: SONA's."""

import torch
from torch import Tensor, nn


class SecondOrderNonLocalAttention(nn.Module):
    """Every place of the map is re-written by the places it varies with.

    z = x + p(softmax(S / sqrt(d)) g(x)), with S = t J t^T / d the covariance of the places, t = theta(x) their values (HW, d)
    after a 1x1 reduction (batch norm, leaky ReLU), g a 1x1 convolution, J = I - 1 1^T / d, and p a 1x1 convolution that starts
    at zero, so that the block is the identity before it is trained (Xia et al., SONA, ICCV 2019, section 3).

    J centres over channels: an affinity between places is a (HW, HW) matrix, so the places are the variables and their d
    channels the observations, whose mean is what a covariance takes away. Centring over places would give the inner products
    of their deviations from the mean place: the other side of the channels' covariance, not a covariance of places.
    Unlike in `second_order`, one projection serves as query and key, so S is symmetric, and a constant added to all reduced
    channels of a place changes nothing.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(2, channels // reduction)  # a place with a single channel has no variance
        self.theta = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.LeakyReLU(0.1))
        self.value = nn.Conv2d(channels, inner, 1)
        self.projection = nn.Conv2d(inner, channels, 1)
        self.scale = inner**-0.5
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]  # made with a bias above

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        affinity = torch.softmax(covariance_of_places(self.theta(features)) * self.scale, dim=-1)
        gathered = torch.einsum("bij,bcj->bci", affinity, self.value(features).flatten(2))
        refined: Tensor = self.projection(gathered.unflatten(2, features.shape[2:]))
        return features + refined


def covariance_of_places(features: Tensor) -> Tensor:
    """Features (B, d, H, W) -> (B, HW, HW), how the channels of two places vary together, over d and not d - 1."""
    places = features.flatten(2)
    centred = places - places.mean(dim=1, keepdim=True)
    return torch.einsum("bci,bcj->bij", centred, centred) / places.shape[1]

"""Pooling: a map (B, C, H, W) to one vector (B, C)."""

from collections.abc import Callable

from torch import Tensor


def average(features: Tensor) -> Tensor:
    """The mean over all places."""
    return features.mean(dim=(2, 3))


def average_plus_max(features: Tensor) -> Tensor:
    """The mean and the maximum over all places, summed (S. Kim et al., Proxy Anchor, CVPR 2020; the inventors' paper)."""
    return features.mean(dim=(2, 3)) + features.amax(dim=(2, 3))


POOLING: dict[str, Callable[[Tensor], Tensor]] = {"average": average, "average_plus_max": average_plus_max}
"""Poolings by name."""

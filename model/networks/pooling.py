"""Pooling of a map (B, C, H, W) to one vector (B, C); `second_moment` returns a longer one."""

from collections.abc import Callable

import torch
from torch import Tensor


def average(features: Tensor) -> Tensor:
    """The mean over all positions."""
    return features.mean(dim=(2, 3))


def maximum(features: Tensor) -> Tensor:
    """The maximum over all positions."""
    return features.amax(dim=(2, 3))


def average_plus_max(features: Tensor) -> Tensor:
    """The sum of the mean and the maximum over all positions (S. Kim et al., Proxy Anchor, CVPR 2020; the inventors' paper)."""
    return features.mean(dim=(2, 3)) + features.amax(dim=(2, 3))


def gem(features: Tensor, power: float = 3.0) -> Tensor:
    """The generalised mean over all positions, (mean of x^p)^(1/p): the mean for p = 1, close to the maximum for large p.

    Values below 1e-6 are replaced by 1e-6, because a negative number has no such root (Radenovic et al., Fine-tuning CNN
    Image Retrieval with No Human Annotation, TPAMI 2019, equation 3; p fixed at 3 as in DELG).
    """
    return features.clamp_min(1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)


def second_moment(features: Tensor) -> Tensor:
    """The upper triangle of the mean of x x^T over all positions, (B, C (C + 1) / 2), off the diagonal times sqrt(2).

    It holds which channels are active at the same positions; a mean of each channel does not. The dot product of two such
    vectors is the mean, over all pairs of positions, of their squared dot product (Lin et al., Bilinear CNN, ICCV 2015).
    """
    positions = features.flatten(2)
    moment = positions @ positions.mT / positions.shape[2]
    rows, columns = torch.triu_indices(*moment.shape[1:], device=moment.device)
    upper: Tensor = moment[:, rows, columns]
    return torch.where(rows == columns, upper, upper * 2**0.5)


POOLING: dict[str, Callable[[Tensor], Tensor]] = {
    "average": average,
    "max": maximum,
    "average_plus_max": average_plus_max,
    "gem": gem,
    "second_moment": second_moment,
}
"""Poolings by name."""


def pooled_channels(pooling: str, channels: int) -> int:
    """Length of the pooled vector of a map with the given number of channels."""
    return POOLING[pooling](torch.zeros(1, channels, 1, 1)).shape[1]

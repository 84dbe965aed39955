"""Pooling: a map (B, C, H, W) to one vector (B, C), or longer where it says so."""

from collections.abc import Callable

import torch
from torch import Tensor


def average(features: Tensor) -> Tensor:
    """The mean over all places."""
    return features.mean(dim=(2, 3))


def maximum(features: Tensor) -> Tensor:
    """The maximum over all places."""
    return features.amax(dim=(2, 3))


def average_plus_max(features: Tensor) -> Tensor:
    """The mean and the maximum over all places, summed (S. Kim et al., Proxy Anchor, CVPR 2020; the inventors' paper)."""
    return features.mean(dim=(2, 3)) + features.amax(dim=(2, 3))


def gem(features: Tensor, power: float = 3.0) -> Tensor:
    """The generalised mean over all places, (mean of x^p)^(1/p): the mean at p = 1, nearer the maximum the larger p is.

    Values below 1e-6 count as 1e-6, as a negative number has no such root: channels that can be negative lose that half
    (Radenovic et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019, equation 3; p fixed at 3 as in DELG).
    """
    return features.clamp_min(1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)


def second_moment(features: Tensor) -> Tensor:
    """The mean over all places of x x^T, its upper triangle: (B, C (C + 1) / 2), those off the diagonal times sqrt(2).

    Which channels answer together in the same places: what the mean of each channel alone cannot tell. The dot product of two
    such vectors is the mean over all pairs of places of the square of their dot product (Lin et al., Bilinear CNN, ICCV 2015).
    """
    places = features.flatten(2)
    moment = places @ places.mT / places.shape[2]
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
    """Length of what a pooling makes of a map of so many channels."""
    return POOLING[pooling](torch.zeros(1, channels, 1, 1)).shape[1]

"""Pooling: a map (B, C, H, W) to one vector (B, C)."""

from collections.abc import Callable

from torch import Tensor


def average(features: Tensor) -> Tensor:
    """The mean over all places."""
    return features.mean(dim=(2, 3))


def average_plus_max(features: Tensor) -> Tensor:
    """The mean and the maximum over all places, summed (S. Kim et al., Proxy Anchor, CVPR 2020; the inventors' paper)."""
    return features.mean(dim=(2, 3)) + features.amax(dim=(2, 3))


def gem(features: Tensor, power: float = 3.0) -> Tensor:
    """The generalised mean over all places, (mean of x^p)^(1/p): the mean at p = 1, nearer the maximum the larger p is.

    Values below 1e-6 count as 1e-6, as a negative number has no such root: channels that can be negative lose that half
    (Radenovic et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019, equation 3; p fixed at 3 as in DELG).
    """
    return features.clamp_min(1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)


POOLING: dict[str, Callable[[Tensor], Tensor]] = {"average": average, "average_plus_max": average_plus_max, "gem": gem}
"""Poolings by name."""

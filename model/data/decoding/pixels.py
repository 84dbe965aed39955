"""What is seen of decoded samples: three channels of eight bits, on a ground where they are transparent."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GROUND = 128
"""Mid grey, in each channel: what stands behind transparency.

It is near the mean of ImageNet's images, so to a trunk it says about nothing, and both a white and a black mark on
transparency stay visible on it. On white, a white logo would be an empty image.
"""
_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners deliver in 16-bit files."""


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """A loaded image of eight bits a channel or less as (H, W, 3) RGB, transparency on `GROUND`.

    Colour profiles are not applied: the numbers in the file are the colours, in every format.
    """
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        ground = Image.new("RGB", image.size, (GROUND,) * 3)
        ground.paste(seen, mask=seen)
        return np.array(ground)
    return np.array(image.convert("RGB"))


def on_ground(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay (H, W, 3) colour on `GROUND` as far as (H, W, 1) alpha lets it through, as `to_rgb` does."""
    seen = Image.fromarray(np.concatenate([colour, alpha], axis=2))
    return to_rgb(seen)


def eight_bits(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16-bit samples as 8-bit ones: the upper eight of the bits that the image uses.

    Many cameras put 10, 12 or 14 bits into 16 without scaling them; taken as 16 bits they would be nearly black. The depth is
    the smallest of 8, 10, 12, 14 and 16 that holds the largest sample; so a 16-bit image without a bright pixel is brightened.
    Where every sample was an 8-bit one, repeated or shifted to fill 16 bits, it is that one again.
    """
    lower, upper = np.ascontiguousarray(values, "<u2").view(np.uint8).reshape(*values.shape, 2).transpose(-1, *range(values.ndim))
    if not lower.any() or np.array_equal(upper, lower):
        return upper.copy()
    used = int(values.max(initial=0)).bit_length()
    depth = next(bits for bits in _DEPTHS if bits >= used)
    return (values >> (depth - 8)).astype(np.uint8)

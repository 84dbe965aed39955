"""Conversion of decoded samples to 8-bit RGB on grey."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GROUND = 128
"""Mid grey in each channel, on which transparent pixels are laid.

It is near the mean of ImageNet's images, so a trunk responds little to it, and white and black marks on transparency both stay
visible. On white, a white logo would be an empty image.
"""
_DEPTHS = (8, 10, 12, 14, 16)
"""Depths in bits that cameras and scanners store in 16-bit files."""


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a loaded image of at most eight bits a channel to (H, W, 3) RGB, transparency on `GROUND`.

    Colour profiles are not applied.
    """
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        ground = Image.new("RGB", image.size, (GROUND,) * 3)
        ground.paste(seen, mask=seen)
        return np.array(ground)
    return np.array(image.convert("RGB"))


def on_ground(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compose colour (H, W, 3) with alpha (H, W, 1) on `GROUND`, as `to_rgb` does."""
    seen = Image.fromarray(np.concatenate([colour, alpha], axis=2))
    return to_rgb(seen)


def eight_bits(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Reduce 16-bit samples to the upper eight of the bits that the image uses.

    Many cameras store 10, 12 or 14 bits in 16 without scaling, and read as 16 bits such images would be nearly black. The depth
    is the smallest of 8, 10, 12, 14 and 16 bits that holds the largest sample, so a 16-bit image without a bright pixel becomes
    brighter. If every sample is an 8-bit one, repeated or shifted to fill 16 bits, the 8-bit samples are returned.
    """
    lower, upper = np.ascontiguousarray(values, "<u2").view(np.uint8).reshape(*values.shape, 2).transpose(-1, *range(values.ndim))
    if not lower.any() or np.array_equal(upper, lower):
        return upper.copy()
    used = int(values.max(initial=0)).bit_length()
    depth = next(bits for bits in _DEPTHS if bits >= used)
    return (values >> (depth - 8)).astype(np.uint8)

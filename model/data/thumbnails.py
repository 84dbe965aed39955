"""Small JPEGs of images, for people to look at. No torch."""

import io
from dataclasses import dataclass

from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.headers import DEFAULT
from model.data.manifest import Box
from model.data.pixels import box_pixels, decode_pixels

_QUALITY = 80
_GAP = 2.0
"""How much larger than the result Pillow may leave an image by its quick reduction, before it resizes it well."""


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG.

    Attributes:
        jpeg: The encoded image.
        width: Width in pixels of what it shows, upright, before it was made small.
        height: Its height.
    """

    jpeg: bytes
    width: int
    height: int


def thumbnail(data: bytes, longest: int, box: Box | None = None, limits: ImageLimits = DEFAULT) -> Thumbnail:
    """An encoded image, or a box in it, as a JPEG whose longer side has at most `longest` pixels; it is not enlarged.

    Raises:
        InvalidInput: The image is beyond the limits, or cannot be decoded; see `decode_pixels`.
    """
    pixels = decode_pixels(data, limits)
    if box is not None:
        pixels = pixels[box_pixels(box, *pixels.shape[:2])]
    height, width = pixels.shape[:2]
    ratio = min(1.0, longest / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_QUALITY)
    return Thumbnail(encoded.getvalue(), width, height)

"""Small JPEGs of images, for people to look at. No torch."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.others import open_image
from model.data.decoding.pixels import to_rgb
from model.data.headers import DEFAULT, read_header
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

    @property
    def uri(self) -> str:
        """The JPEG as a data: URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode()


def thumbnail(data: bytes, longest: int, box: Box | None = None, limits: ImageLimits = DEFAULT) -> Thumbnail:
    """An encoded image, or a box in it, as a JPEG whose longer side has at most `longest` pixels; it is not enlarged.

    Raises:
        InvalidInput: The image is beyond the limits, or cannot be decoded; see `decode_pixels`.
    """
    pixels, (height, width) = _pixels(data, longest, box, limits)
    ratio = min(1.0, longest / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_QUALITY)
    return Thumbnail(encoded.getvalue(), width, height)


def _pixels(data: bytes, longest: int, box: Box | None, limits: ImageLimits) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels that are enough for the result, and height and width of what they show."""
    if box is None and (reduced := _reduced(data, longest, limits)):
        return reduced
    pixels = decode_pixels(data, limits)
    if box is not None:
        pixels = pixels[box_pixels(box, *pixels.shape[:2])]
    return pixels, pixels.shape[:2]


def _reduced(data: bytes, longest: int, limits: ImageLimits) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """A large JPEG decoded at a fraction of its size, which takes a fraction of the time; None for any other image."""
    header = read_header(data, limits)
    if header.format != "JPEG" or max(header.width, header.height) < 2 * _GAP * longest:
        return None
    try:
        with open_image(data, header.format) as stored:
            orientation = read_orientation(stored.info.get("exif"))
            stored.draft("RGB", (round(_GAP * longest), round(_GAP * longest)))
            pixels = turn(to_rgb(stored), orientation)
    except (OSError, ValueError, SyntaxError):  # Pillow is stricter than the decoder of all other uses
        return None
    return pixels, (header.width, header.height) if orientation >= 5 else (header.height, header.width)

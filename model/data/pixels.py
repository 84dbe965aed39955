"""The pixels of an encoded image, decoded within limits; and the part of them that a box is. No torch."""

import numpy as np
from numpy.typing import NDArray

from model.data.decoding.jpeg import decode_jpeg
from model.data.decoding.limits import ImageLimits
from model.data.decoding.others import decode_other
from model.data.decoding.png import decode_png
from model.data.decoding.refusals import Damaged, ImageRefused
from model.data.headers import DEFAULT, read_header
from model.data.manifest import Box


def decode_pixels(data: bytes, limits: ImageLimits = DEFAULT) -> NDArray[np.uint8]:
    """Decode an image to (H, W, 3) RGB, contiguous. The same pixels in files of other formats give the same result.

    The image is turned as its EXIF states. Transparent pixels become mid grey, whatever their hidden colour. Samples of 16 bits
    become 8 bits by the depth that the image uses. Colour profiles are not applied.

    Raises:
        Oversized, Unsupported: The image is refused by its header, before it is decoded.
        Damaged: A part of the image is missing or wrong.
        ImageRefused: There are no bytes.
    """
    form = read_header(data, limits).format
    try:
        return _decode(data, form, limits)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:  # Pillow raises errors of every kind over damaged files
        raise Damaged(f"The {form} is damaged and cannot be decoded.") from error


def _decode(data: bytes, form: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """torchvision's decoders are not used: its PNG decoder ends the process at a flipped bit."""
    if form == "JPEG":
        return decode_jpeg(data)
    if form == "PNG":
        return decode_png(data)
    return decode_other(data, form, limits)


def box_pixels(box: Box, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of an image that a box covers, rounded to whole pixels, at least one in each direction."""
    left, top = min(max(0, round(box[0])), width - 1), min(max(0, round(box[1])), height - 1)
    return slice(top, max(top + 1, round(box[3]))), slice(left, max(left + 1, round(box[2])))

"""The header of an encoded image: its format and its size in pixels, read without decoding."""

from dataclasses import dataclass

from model.data.decoding.formats import recognise
from model.data.decoding.jpeg import jpeg_size
from model.data.decoding.limits import ImageLimits
from model.data.decoding.others import open_image, webp_size
from model.data.decoding.png import png_header
from model.data.decoding.refusals import Damaged, ImageRefused, Unsupported

DEFAULT = ImageLimits()
"""Limits of import and training if no others are given."""


@dataclass(frozen=True)
class Header:
    """The format of an image, and its size in pixels as stored."""

    format: str
    width: int
    height: int


def read_header(data: bytes, limits: ImageLimits = DEFAULT) -> Header:
    """Read an image's format and size without decoding it, and refuse images that are not decoded.

    An animation is refused, because it is unclear which frame is meant. A multi-picture JPEG is no animation: its first image
    is the photograph, and the others are previews or the view of a second lens.

    Raises:
        Oversized: The image has too many bytes or pixels, or a side is too long.
        Unsupported: The bytes are no image, an image of a format that is not decoded, or an animation.
        Damaged: The header cannot be read.
        ImageRefused: There are no bytes.
    """
    if not data:
        raise ImageRefused("The image is empty.")
    limits.check_bytes(len(data))
    form = recognise(data)
    try:
        width, height, frames = _measure(data, form, limits)
    except ImageRefused:
        raise
    except Exception as error:  # Pillow's readers raise errors of every kind over damaged headers
        raise Damaged(f"The {form} is damaged: its header cannot be read.") from error
    if min(width, height) < 1:
        raise Damaged(f"The {form} is damaged: it has {width} x {height} pixels.")
    limits.check_size(width, height)
    if frames > 1:
        raise Unsupported(f"This {form} is an animation.", "Save the frame that is meant as a PNG.")
    return Header(form, width, height)


def _measure(data: bytes, form: str, limits: ImageLimits) -> tuple[int, int, int]:
    """Width, height and number of frames; 2 stands for any number above 1."""
    if form == "JPEG":
        return *jpeg_size(data), 1
    if form == "PNG":
        header = png_header(data)
        return header.width, header.height, header.frames
    size = webp_size(data) if form == "WebP" else None
    if size:
        limits.check_size(*size)
    with open_image(data, form) as image:
        return *image.size, 2 if getattr(image, "is_animated", False) else 1

"""What an image's first bytes say, read without decoding: its format and its size in pixels."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from model.errors import InvalidInput

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded. The bytes decide, never a file's name."""
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000


class Oversized(InvalidInput):
    """An image with more bytes or pixels than are taken."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image say of it: its format, and its size in pixels as stored."""

    format: str
    width: int
    height: int


def read_header(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS
) -> Header:
    """Read an image's format and size without decoding it.

    Raises:
        InvalidInput: Empty, too large, or no image of a known format.
    """
    if not data:
        raise InvalidInput("The image is empty.")
    if len(data) > max_bytes:
        raise Oversized(f"The image has {len(data)} bytes, more than {max_bytes}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=formats) as image:
                header = Header(str(image.format), *image.size)
    except Image.DecompressionBombError as error:
        raise Oversized(f"The image has more than {max_pixels} pixels.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"This is no image of a known format ({', '.join(formats)}).") from error
    if header.width * header.height > max_pixels:
        raise Oversized(f"The image has {header.width} x {header.height} pixels, more than {max_pixels}.")
    return header


def ends_early(data: bytes, header: Header) -> bool:
    """Whether the file is visibly cut short where its decoder would not notice."""
    if header.format == "PNG":
        return data.rfind(b"IEND") < 0
    if header.format == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False

"""Pictures: limited before they are decoded, decoded one way everywhere, and made what a trunk sees.

Training, indexing and serving all come through here, so that one picture has one embedding.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision.transforms.v2.functional as transforms
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from model.errors import InvalidInput

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded. The bytes decide, never a file's name."""
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture say of it: its format, and its size in pixels as stored."""

    format: str
    width: int
    height: int


def read_header(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Header:
    """Read a picture's format and size without decoding it.

    Raises:
        InvalidInput: Empty, too large, or no picture of a known format.
    """
    if not data:
        raise InvalidInput("The picture is empty.")
    if len(data) > max_bytes:
        raise InvalidInput(f"The picture has {len(data)} bytes, more than {max_bytes}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                header = Header(str(picture.format), *picture.size)
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"The picture has more than {max_pixels} pixels.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"This is no picture of a known format ({', '.join(FORMATS)}).") from error
    if header.width * header.height > max_pixels:
        raise InvalidInput(f"The picture has {header.width} x {header.height} pixels, more than {max_pixels}.")
    return header


def decode_picture(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode a picture to (3, H, W) uint8 RGB, turned as its EXIF says.

    Raises:
        InvalidInput: Not a picture of a known format, too large, or damaged.
    """
    read_header(data, max_bytes=max_bytes, max_pixels=max_pixels)
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    try:
        return decode_image(buffer, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    except (RuntimeError, ValueError) as error:
        raise InvalidInput("The picture is damaged and cannot be decoded.") from error


def load_picture(path: Path, size: int, box: Box | None = None) -> Tensor:
    """Read, decode, crop to `box` and resize a picture file to (3, size, size) uint8 RGB.

    Raises:
        InvalidInput: The file cannot be read or decoded; the message names it.
    """
    try:
        return resize(decode_picture(path.read_bytes()), size, box)
    except (InvalidInput, OSError) as error:
        raise InvalidInput(f"{path}: {error}") from error


def resize(picture: Tensor, size: int, box: Box | None = None) -> Tensor:
    """Crop a (3, H, W) picture to `box` and resize it, squeezed to a square, to (3, size, size)."""
    if box is not None:
        left, top, right, bottom = (round(value) for value in box)
        picture = picture[:, max(0, top) : max(top + 1, bottom), max(0, left) : max(left + 1, right)]
    return transforms.resize(picture, [size, size], antialias=True)


def normalise(pictures: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, 3, S, S) uint8 to float32 in the trunk's own range, channels last in memory."""
    scaled = transforms.normalize(pictures.float() / 255, list(mean), list(std))
    return scaled.contiguous(memory_format=torch.channels_last)

"""Pictures: limited before they are decoded, decoded one way everywhere, and made what a trunk sees.

Training, indexing and serving all come through here, so that one picture has one embedding.
"""

from pathlib import Path

import torch
import torchvision.transforms.v2.functional as transforms
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from model.data.headers import MAX_BYTES, MAX_PIXELS, read_header
from model.errors import InvalidInput

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels."""


def decode_picture(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode a picture to (3, H, W) uint8 RGB, turned as its EXIF says.

    Raises:
        InvalidInput: Not a picture of a known format, too large, or damaged.
    """
    read_header(data, max_bytes=max_bytes, max_pixels=max_pixels)
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    try:
        picture = decode_image(buffer, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    except (RuntimeError, ValueError) as error:
        raise InvalidInput("The picture is damaged and cannot be decoded.") from error
    return picture if picture.dtype == torch.uint8 else (picture.int() >> 8).to(torch.uint8)  # 16 bits a channel


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

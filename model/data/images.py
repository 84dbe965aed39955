"""Images: limited before they are decoded, decoded one way everywhere, and made what a trunk sees.

Training, indexing and serving all come through here, so that one image has one embedding.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as transforms
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.io import ImageReadMode
from torchvision.io import decode_image as decode_with_torchvision

from model.data.headers import MAX_BYTES, MAX_PIXELS, read_header
from model.errors import InvalidInput

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels."""


def decode_image(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode an image to (3, H, W) uint8 RGB, turned as its EXIF says.

    Raises:
        InvalidInput: Not an image of a known format, too large, or damaged.
    """
    header = read_header(data, max_bytes=max_bytes, max_pixels=max_pixels)
    try:
        if header.format == "PNG":
            return _decode_png(data)
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return decode_with_torchvision(buffer, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    except (RuntimeError, ValueError, OSError, SyntaxError, zlib.error, struct.error) as error:
        raise InvalidInput("The image is damaged and cannot be decoded.") from error


def _decode_png(data: bytes) -> Tensor:
    """Decode a PNG with Pillow: torchvision's decoder ends the process (SIGSEGV) at the first damaged bit."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to white
        grey = (np.asarray(turned).astype(np.int32) >> 8).clip(0, 255).astype(np.uint8)
        return torch.from_numpy(grey).expand(3, -1, -1).contiguous()
    return torch.from_numpy(np.array(turned.convert("RGB"))).permute(2, 0, 1).contiguous()


def load_image(path: Path, size: int, box: Box | None = None) -> Tensor:
    """Read, decode, crop to `box` and resize an image file to (3, size, size) uint8 RGB.

    Raises:
        InvalidInput: The file cannot be read or decoded; the message names it.
    """
    try:
        return resize(decode_image(path.read_bytes()), size, box)
    except (InvalidInput, OSError) as error:
        raise InvalidInput(f"{path}: {error}") from error


def crop(image: Tensor, box: Box) -> Tensor:
    """The pixels of a (3, H, W) image within `box`, at least one each way."""
    left, top, right, bottom = (round(value) for value in box)
    return image[:, max(0, top) : max(top + 1, bottom), max(0, left) : max(left + 1, right)]


def resize(image: Tensor, size: int, box: Box | None = None) -> Tensor:
    """Crop a (3, H, W) image to `box` and resize it, squeezed to a square, to (3, size, size)."""
    if box is not None:
        image = crop(image, box)
    return transforms.resize(image, [size, size], antialias=True)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, 3, S, S) uint8 to float32 in the trunk's own range, channels last in memory."""
    scaled = transforms.normalize(images.float() / 255, list(mean), list(std))
    return scaled.contiguous(memory_format=torch.channels_last)

"""Images: limited before they are decoded, decoded one way everywhere, and made what a trunk sees.

Training, indexing and serving all come through here, so that one image has one embedding.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as transforms
from numpy.typing import NDArray
from torch import Tensor
from torchvision.io import encode_png

from model.data.decoding.jpeg import decode_jpeg
from model.data.decoding.limits import ImageLimits
from model.data.decoding.others import decode_other
from model.data.decoding.png import decode_png
from model.data.decoding.refusals import Damaged, ImageRefused
from model.data.headers import DEFAULT, read_header
from model.data.manifest import Box
from model.errors import InvalidInput

DECODER = 3
"""Raised when the same file would give other pixels, so that what was made of the old ones is not taken for the new."""


def decode_image(data: bytes, limits: ImageLimits = DEFAULT) -> Tensor:
    """Decode an image to (3, H, W) uint8 RGB: the same pixels from whatever kind of file they come in.

    It is turned as its EXIF says. What is transparent is mid grey, however it is coloured below. 16 bits become 8 by the depth
    that the image uses. Colour profiles are not applied.

    Raises:
        Oversized, Unsupported: It is refused by its header, before it is decoded.
        Damaged: A part of it is missing or wrong.
        ImageRefused: There are no bytes.
    """
    form = read_header(data, limits).format
    try:
        pixels = _decode(data, form, limits)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:  # whatever Pillow raises over damaged files: every kind was seen
        raise Damaged(f"The {form} is damaged and cannot be decoded.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _decode(data: bytes, form: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """(H, W, 3), contiguous. torchvision's decoders are not used: its PNG decoder ends the process at a flipped bit."""
    if form == "JPEG":
        return decode_jpeg(data)
    if form == "PNG":
        return decode_png(data)
    return decode_other(data, form, limits)


def load_image(path: Path, size: int, box: Box | None = None) -> Tensor:
    """Read, decode, crop to `box` and resize an image file to (3, size, size) uint8 RGB.

    Raises:
        InvalidInput: The file cannot be read, is beyond the limits, or cannot be decoded; the message names it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(DEFAULT.max_bytes + 1)  # one too many is refused with its header
        return resize(decode_image(data), size, box)
    except (InvalidInput, OSError) as error:
        raise InvalidInput(f"{path}: {error}") from error


def crop(image: Tensor, box: Box) -> Tensor:
    """The pixels of a (3, H, W) image within `box`, to whole pixels; at least one each way, also at its right and lower edge."""
    height, width = image.shape[1:]
    left, top = min(max(0, round(box[0])), width - 1), min(max(0, round(box[1])), height - 1)
    return image[:, top : max(top + 1, round(box[3])), left : max(left + 1, round(box[2]))]


def to_png(image: Tensor) -> bytes:
    """Encode a (3, H, W) uint8 image as a PNG of the same pixels."""
    return bytes(encode_png(image.contiguous()).numpy().tobytes())


def resize(image: Tensor, size: int, box: Box | None = None) -> Tensor:
    """Crop a (3, H, W) image to `box` and resize it, squeezed to a square, to (3, size, size)."""
    if box is not None:
        image = crop(image, box)
    return transforms.resize(image, [size, size], antialias=True)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, 3, S, S) uint8 to float32 in the trunk's own range, channels last in memory."""
    scaled = transforms.normalize(images.float() / 255, list(mean), list(std))
    return scaled.contiguous(memory_format=torch.channels_last)

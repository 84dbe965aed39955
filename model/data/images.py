"""Images: decoding within limits, cropping, resizing and normalising.

Training, indexing and serving all use these functions, so that one image has one embedding.
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
"""Number of the way in which images are decoded. It is raised when the same file would give other pixels; caches depend on it."""


def decode_image(data: bytes, limits: ImageLimits = DEFAULT) -> Tensor:
    """Decode an image to (3, H, W) uint8 RGB. The same pixels in files of other formats give the same result.

    The image is turned as its EXIF states. Transparent pixels become mid grey, whatever their hidden colour. Samples of 16 bits
    become 8 bits by the depth that the image uses. Colour profiles are not applied.

    Raises:
        Oversized, Unsupported: The image is refused by its header, before it is decoded.
        Damaged: A part of the image is missing or wrong.
        ImageRefused: There are no bytes.
    """
    form = read_header(data, limits).format
    try:
        pixels = _decode(data, form, limits)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:  # Pillow raises errors of every kind over damaged files
        raise Damaged(f"The {form} is damaged and cannot be decoded.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _decode(data: bytes, form: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decode to (H, W, 3), contiguous. torchvision's decoders are not used: its PNG decoder ends the process at a flipped bit."""
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
            data = stream.read(DEFAULT.max_bytes + 1)  # read_header refuses one byte too many
        return resize(decode_image(data), size, box)
    except (InvalidInput, OSError) as error:
        raise InvalidInput(f"{path}: {error}") from error


def crop(image: Tensor, box: Box) -> Tensor:
    """Crop a (3, H, W) image to `box`, rounded to whole pixels. The crop has at least one pixel in each direction."""
    height, width = image.shape[1:]
    left, top = min(max(0, round(box[0])), width - 1), min(max(0, round(box[1])), height - 1)
    return image[:, top : max(top + 1, round(box[3])), left : max(left + 1, round(box[2]))]


def to_png(image: Tensor) -> bytes:
    """Encode a (3, H, W) uint8 image as a PNG of the same pixels."""
    return bytes(encode_png(image.contiguous()).numpy().tobytes())


def resize(image: Tensor, size: int, box: Box | None = None) -> Tensor:
    """Crop a (3, H, W) image to `box`, if there is one, and squeeze it to a square (3, size, size)."""
    if box is not None:
        image = crop(image, box)
    return transforms.resize(image, [size, size], antialias=True)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (B, 3, S, S) uint8 -> float32, normalised by mean and standard deviation, channels last in memory."""
    pixels = images.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    rows = pixels.float().flatten(2)  # (B, S, 3 S), because arithmetic is fast along long rows
    means, deviations = (rows.new_tensor(values).repeat(images.shape[3]) for values in (mean, std))
    normalised = rows.div_(255).sub_(means).div_(deviations)
    return normalised.unflatten(2, (-1, 3)).permute(0, 3, 1, 2)

"""Images: decoding within limits, cropping, resizing and normalising.

Training, indexing and serving all use these functions, so that one image has one embedding.
"""

from pathlib import Path

import torch
import torchvision.transforms.v2.functional as transforms
from torch import Tensor
from torchvision.io import encode_png

from model.data.decoding.limits import ImageLimits
from model.data.headers import DEFAULT
from model.data.manifest import Box
from model.data.pixels import box_pixels, decode_pixels
from model.errors import InvalidInput

DECODER = 3
"""Number of the way in which images are decoded. It is raised when the same file would give other pixels; caches depend on it."""


def decode_image(data: bytes, limits: ImageLimits = DEFAULT) -> Tensor:
    """Decode an image to (3, H, W) uint8 RGB; see `decode_pixels`, also for the errors."""
    return torch.from_numpy(decode_pixels(data, limits)).permute(2, 0, 1)


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
    rows, columns = box_pixels(box, *image.shape[1:])
    return image[:, rows, columns]


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

"""Augmentation: random crops and mirroring of images, reproducible from the random generator."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as transforms
from numpy.typing import NDArray
from torch import Tensor

AREA = (0.4, 1.0)
"""Range of the share of the image's area that a crop keeps."""
RATIO = (3 / 4, 4 / 3)
"""Range of a crop's width divided by its height."""


def random_crops(random: np.random.Generator, count: int, side: int) -> NDArray[np.int64]:
    """Random crops of a square image, with areas and ratios in the ranges of Inception (Szegedy et al., CVPR 2015).

    A crop that is longer than the image is cut to it; torchvision draws again instead.

    Returns:
        (count, 5): top, left, height and width in pixels, and 1 for a mirrored crop.
    """
    area = random.uniform(*AREA, count)
    ratio = np.exp(random.uniform(np.log(RATIO[0]), np.log(RATIO[1]), count))
    sizes = np.sqrt(np.stack([area / ratio, area * ratio], axis=1)).clip(max=1) * side
    sizes = sizes.round().astype(np.int64).clip(min=1)
    corners = np.floor(random.uniform(size=(count, 2)) * (side - sizes + 1)).astype(np.int64)
    return np.concatenate([corners, sizes, random.integers(0, 2, (count, 1))], axis=1)


def cropped(images: NDArray[np.uint8], crops: NDArray[np.int64], size: int) -> Tensor:
    """Images (B, S, S, 3) and one crop for each (B, 5) -> (B, 3, size, size) uint8."""
    augmented = torch.empty(len(images), 3, size, size, dtype=torch.uint8)
    for row, (top, left, height, width, mirrored) in enumerate(crops):
        image = torch.from_numpy(images[row, top : top + height, left : left + width]).permute(2, 0, 1)
        part = transforms.resize(image, [size, size], antialias=True)
        augmented[row] = part.flip(2) if mirrored else part
    return augmented

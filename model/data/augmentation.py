"""Augmentation: images cropped and mirrored at random, the same for the same random numbers."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as transforms
from numpy.typing import NDArray
from torch import Tensor

AREA = (0.4, 1.0)
"""Share of the image that a crop keeps."""
RATIO = (3 / 4, 4 / 3)
"""Width of a crop by its height."""


def random_crops(random: np.random.Generator, count: int, side: int) -> NDArray[np.int64]:
    """Crops of a square image, with an area and a proportion as Inception drew them (Szegedy et al., CVPR 2015).

    A crop that would be longer than the image is cut to it, where torchvision draws again.

    Returns:
        (count, 5): top, left, height and width in pixels, and whether it is mirrored.
    """
    area = random.uniform(*AREA, count)
    ratio = np.exp(random.uniform(np.log(RATIO[0]), np.log(RATIO[1]), count))
    sizes = np.sqrt(np.stack([area / ratio, area * ratio], axis=1)).clip(max=1) * side
    sizes = sizes.round().astype(np.int64).clip(min=1)
    corners = np.floor(random.uniform(size=(count, 2)) * (side - sizes + 1)).astype(np.int64)
    return np.concatenate([corners, sizes, random.integers(0, 2, (count, 1))], axis=1)


def cropped(images: NDArray[np.uint8], crops: NDArray[np.int64], size: int) -> Tensor:
    """Images (B, S, S, 3) and a crop of each (B, 5) -> (B, 3, size, size) uint8."""
    augmented = torch.empty(len(images), 3, size, size, dtype=torch.uint8)
    for row, (top, left, height, width, mirrored) in enumerate(crops):
        image = torch.from_numpy(images[row, top : top + height, left : left + width]).permute(2, 0, 1)
        part = transforms.resize(image, [size, size], antialias=True)
        augmented[row] = part.flip(2) if mirrored else part
    return augmented

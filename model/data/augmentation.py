"""Augmentation: random crops and mirroring of images, reproducible from the random generator."""

import cv2
import numpy as np
import torch
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
    """Images (B, S, S, 3) and one crop for each (B, 5) -> (B, 3, size, size) uint8, channels last in memory.

    Each pixel is interpolated between its four neighbours, so images should be at most twice as large as `size`. OpenCV is used
    because torch takes six times as long, and starts threads in each calling thread that slow down the network's own.
    """
    augmented = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for row, (top, left, height, width, mirrored) in enumerate(crops):
        part = images[row, top : top + height, left : left + width]
        cv2.resize(part, (size, size), dst=augmented[row], interpolation=cv2.INTER_LINEAR)
        if mirrored:
            cv2.flip(augmented[row], 1, dst=augmented[row])
    return torch.from_numpy(augmented).permute(0, 3, 1, 2)

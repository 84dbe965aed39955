"""Drawn images for benchmarks that need many, of any number."""

from pathlib import Path

import cv2
import numpy as np

from model.data.manifest import write_manifest

IMAGES_A_CLASS = 16
VALIDATION_CLASSES = 2


def draw_data(folder: Path, images: int, size: int = 320) -> Path:
    """Draw a data set of JPEG images with structure on all scales, like photographs: sums of noise at each scale.

    Args:
        folder: An empty folder, which receives the images and the manifest.
        images: Number of training images; those of the validation classes are drawn besides.
        size: Side of an image in pixels.

    Returns:
        The folder.
    """
    rows = []
    for row in range(images + VALIDATION_CLASSES * IMAGES_A_CLASS):
        name, random = f"{row}.jpg", np.random.default_rng(row)
        scales = [cv2.resize(random.normal(0, 2**-k, (2**k, 2**k, 3)), (size, size)) for k in range(1, 8)]
        image = np.clip(128 + 80 * np.sum(scales, axis=0), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / name), image)
        rows.append((name, f"class {row // IMAGES_A_CLASS}", "train" if row < images else "val", None))
    write_manifest(folder, rows)
    return folder

"""A tiny data set of drawn images, already split: what training, indexing and evaluation read."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from model.data.manifest import write_manifest
from tests.support.images import scenery

SPLITS = {"train": 4, "val": 2, "test": 2}
"""Classes of each."""
VIEWS = 4
SAMPLES = VIEWS * sum(SPLITS.values())


def draw_view(label: int, view: int, size: int = 48) -> bytes:
    """A PNG of the class's colours in noise that differs with every view."""
    colours = np.random.default_rng(label).integers(0, 256, (3, 3, 3))
    noise = np.random.default_rng([label, view]).normal(0, 100, (3, 3, 3))
    blocks = np.clip(colours + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def make_dataset(
    folder: Path,
    views: int = VIEWS,
    distractors: int = 0,
    splits: dict[str, int] = SPLITS,
    draw: Callable[[int, int], bytes] = draw_view,
) -> Path:
    """Images of eight classes, four of which train: `SAMPLES` of them, if not told otherwise; and classes of one distractor."""
    rows = []
    names = [split for split, count in splits.items() for _ in range(count)]
    for label, split in enumerate(names):
        for view in range(views):
            path = f"images/{label}/{view}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(draw(label, view))
            rows.append((path, f"class {label}", split, None))
    for number in range(distractors):
        path = f"images/{number}.png"
        (folder / path).write_bytes(draw(100 + number, 0))
        rows.append((path, f"distractor {number}", "distractor", None))
    write_manifest(folder, rows)
    return folder


def draw_scene(label: int, view: int, size: int = 160) -> bytes:
    """A PNG of a part of the class's scenery, shifted and scaled with every view. All sceneries have the same colours."""
    scale, left, top = np.random.default_rng([label, view]).uniform([0.9, 0, 0], [1.1, 64, 64])
    side = size * scale
    pixels = Image.fromarray(scenery(label).permute(1, 2, 0).numpy())
    buffer = io.BytesIO()
    pixels.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side)).save(buffer, "PNG")
    return buffer.getvalue()


def make_scenes(folder: Path, splits: dict[str, int]) -> Path:
    """Views of sceneries, `VIEWS` of each class: what they show together tells them apart less than where it is."""
    return make_dataset(folder, splits=splits, draw=draw_scene)

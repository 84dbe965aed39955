"""Scenes with boxes, and what is enrolled to find in them."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from model.data.images import decode_image
from model.data.manifest import Box
from model.detection.cutouts import Sample
from model.detection.judging import Scene
from model.errors import InvalidInput, NotFound

VIEWS = 6
"""Product images of a label that are enrolled."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class DetectionData:
    """Scenes sorted by name, and product images if there are any.

    Attributes:
        folder: Folder that the paths start from.
        scenes: The scenes.
        views: Path and label of each product image, sorted by label.
    """

    folder: Path
    scenes: list[Scene]
    views: list[tuple[str, str]]

    @property
    def even(self) -> list[Scene]:
        """Scenes to enrol from, if there are no product images, and to fit to."""
        return self.scenes[::2]

    @property
    def odd(self) -> list[Scene]:
        """Scenes that the figures are of."""
        return self.scenes[1::2]

    def samples(self) -> Iterator[Sample]:
        """What is enrolled."""
        if self.views:
            for path, label in self.views:
                yield Sample(_load(self.folder / path), None, label, path)
            return
        for scene in self.even:
            image = scene.load()
            for number, (label, box) in enumerate(scene.truth):
                yield Sample(image, box, label, f"{scene.id}#{number}")


def read_detection_data(folder: Path, limit: int = 0) -> DetectionData:
    """Read `boxes.csv` (file, label, box) beside `scenes/`, or the `manifest.csv` of drawn data.

    Raises:
        NotFound: The folder has neither.
        InvalidInput: There are fewer than two scenes, or a column is missing.
    """
    boxes, table = folder / "boxes.csv", folder / "manifest.csv"
    if not boxes.is_file() and not table.is_file():
        raise NotFound(f"{folder} holds neither boxes.csv nor manifest.csv.", "Name a folder of scenes with boxes.")
    truth: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    views: dict[str, list[str]] = defaultdict(list)
    with (boxes if boxes.is_file() else table).open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            try:
                path = f"scenes/{row['file']}" if boxes.is_file() else row["path"]
                label, corners = row["label"], [row[name] for name in _CORNERS]
            except KeyError as error:
                raise InvalidInput(f"{folder}: there is no column {error}.") from error
            if all(corners):
                x0, y0, x1, y1 = (float(corner) for corner in corners)
                truth[path].append((label, (x0, y0, x1, y1)))
            else:
                views[label].append(path)
    names = sorted(truth)[: limit or None]
    if len(names) < 2:
        raise InvalidInput(f"{folder} holds fewer than two scenes with boxes.")
    scenes = [Scene(name, partial(_load, folder / name), truth[name]) for name in names]
    return DetectionData(folder, scenes, [(path, label) for label in sorted(views) for path in sorted(views[label])[:VIEWS]])


def _load(file: Path) -> Tensor:
    return decode_image(file.read_bytes())

"""The listing of a source: its files, its classes and its samples, before any image is opened.

A listing keeps its texts in buffers and its numbers in arrays, so that its memory does not grow by an object a sample.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.importing.splits import UNSET
from model.data.importing.texts import Texts


@dataclass
class Listing:
    """The content of a source before any image is opened.

    Attributes:
        root: Folder that the file names start from.
        files: Each distinct file, relative to `root`, with `/`.
        labels: Each distinct class name.
        file: Index into `files` for each sample.
        label: Index into `labels` for each sample.
        given: Index into `SPLITS` for each sample; `UNSET` where the source gives no side of the split.
        boxes: Four numbers for each sample; NaN where the sample is the whole image.
        groups: Group of each sample; empty where it has none.
    """

    root: Path
    files: Texts = field(default_factory=Texts)
    labels: list[str] = field(default_factory=list)
    file: "array[int]" = field(default_factory=lambda: array("q"))
    label: "array[int]" = field(default_factory=lambda: array("q"))
    given: "array[int]" = field(default_factory=lambda: array("b"))
    boxes: "array[float]" = field(default_factory=lambda: array("f"))
    groups: Texts = field(default_factory=Texts)

    def add(self, file: int, label: int, given: int = UNSET, box: tuple[float, ...] = (np.nan,) * 4, group: str = "") -> None:
        """Add one sample."""
        self.file.append(file)
        self.label.append(label)
        self.given.append(given)
        self.boxes.extend(box)
        self.groups.append(group)

    @property
    def box_array(self) -> NDArray[np.float32]:
        """(N, 4) float32 view of `boxes`."""
        return np.frombuffer(self.boxes, dtype=np.float32).reshape(-1, 4)

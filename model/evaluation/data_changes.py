"""The page that shows what differs between two versions of data sets as images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from model.data.manifest import split_id
from model.data.spread import evenly
from model.evaluation.contact_sheets import thumbnail
from model.evaluation.page import template
from model.files import write_text
from model.schemas.data_diff import DataDiff, DataSample
from model.schemas.illustrations import SheetImage

T = TypeVar("T")
MOST = 48
"""Images of each kind of change that are shown."""


@dataclass(frozen=True)
class Shown:
    """A sample as an image, with what is said below it."""

    image: SheetImage
    text: str


def save_data_changes(file: Path, diff: DataDiff, before: Path, after: Path) -> None:
    """Write a self-contained page with added, removed, relabelled and moved images and new leaks, some of each if they are many.

    Args:
        file: The HTML file.
        diff: What differs.
        before: Folder of the first version.
        after: Folder of the second version.
    """
    changed = (("Relabelled", diff.relabelled), ("On another side of the split", diff.moved))
    sheets = {
        "Added": (len(diff.added), [_shown(after, sample, f"{sample.label}, {sample.split}") for sample in _some(diff.added)]),
        "Removed": (
            len(diff.removed),
            [_shown(before, sample, f"{sample.label}, {sample.split}") for sample in _some(diff.removed)],
        ),
        **{
            title: (
                len(changes),
                [_shown(after, change.after, _changed(change.before, change.after)) for change in _some(changes)],
            )
            for title, changes in changed
        },
    }
    leaks = [
        [_shown(after, sample, f"{sample.label}, {sample.split}") for sample in (leak.one, leak.other)]
        for leak in _some(diff.leaks)
    ]
    write_text(file, template("data_changes.html").render(diff=diff, sheets=sheets, leaks=leaks))


def _some(changes: Sequence[T]) -> list[T]:
    """At most `MOST` of them, spread evenly."""
    return [changes[row] for row in evenly(len(changes), MOST).tolist()]


def _shown(folder: Path, sample: DataSample, text: str) -> Shown:
    path, box = split_id(sample.id)
    return Shown(SheetImage(source=thumbnail(folder / path, box), name=sample.label, path=sample.id), text)


def _changed(before: DataSample, after: DataSample) -> str:
    """The label, and the side, before and after, as far as they differ."""
    said = [f"{one} → {other}" for one, other in ((before.label, after.label), (before.split, after.split)) if one != other]
    return ", ".join(said if before.label != after.label else [after.label, *said])

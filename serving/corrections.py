"""Corrections: images whose answers were wrong, kept with their right labels until they go into a data set or are dropped.

GLOCAL_HOME/dashboard/corrections/ID/
    correction.json     who corrected which answer, when, and the right label
    image.*             the image as it was sent

A correction is what a data set can hold: an image, or a box in one, and its label. That two images are the same is said by
giving both one label; that a box shows nothing cannot be said.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from model.claim import claim
from model.data.importing.import_report import ImportReport
from model.data.importing.names import LONGEST_NAME
from model.data.manifest import Box
from model.data.sent import check_sent
from model.errors import Conflict, InvalidInput, NotFound
from model.files import atomic_folder, remove_whole
from model.home import Home
from model.locks import hold
from model.progress import Progress
from model.schemas.correction import Asked, Correction
from model.schemas.unreadable import Unreadable, read_or_note
from model.text import visible
from serving.archive import archive_file, stored_manifest
from serving.limits import IMAGE_LIMITS

MAX_CORRECTIONS = 1000
"""Corrections that are kept at most; accepted ones make room for new ones."""
MAX_BYTES = 2 * 2**30
"""Bytes that their images may take."""
_RECORD = "correction.json"
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


def check_label(label: str) -> str:
    """A label that a person typed, without white space around it.

    Raises:
        InvalidInput: It is empty, too long or holds control characters.
    """
    label = label.strip()
    if not label:
        raise InvalidInput("A label is missing.", "Type the name of what the image shows.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in label):
        raise InvalidInput("The label holds characters that cannot be seen.", "Type it again.")
    if len(label.encode()) > LONGEST_NAME:
        raise InvalidInput(f"The label has more than {LONGEST_NAME} bytes.", "Shorten it.")
    return label


@dataclass(frozen=True)
class Corrected:
    """An image whose answer was wrong, and what is right.

    Attributes:
        image: The encoded image.
        label: The right label.
        name: Name of its file, for people.
        asked: What was asked of this image, and what the answer said.
        box: Where the labelled object is: xmin, ymin, xmax, ymax in pixels of the upright image; None: the whole image.
    """

    image: bytes
    label: str
    name: str
    asked: Asked
    box: Box | None = None


def keep_corrections(home: Home, corrected: Sequence[Corrected], *, by: str) -> list[Correction]:
    """Keep images with their right labels: all of them, or none if something is wrong with one.

    Args:
        home: GLOCAL_HOME.
        corrected: The images, such as both of a verification.
        by: Name of who corrects.

    Raises:
        InvalidInput: An image is not the one that was asked about, is none, its box is not in it, or the label cannot be used; or
            the endpoint's store no longer has the version that answered.
        Conflict: There is no room for another correction.
    """
    checked = [_checked(home, each) for each in corrected]
    return [_keep(home, each, data, form, by) for each, (data, form) in zip(corrected, checked, strict=True)]


def _checked(home: Home, corrected: Corrected) -> tuple[str, str]:
    """Name of the data set, and the format of the image, of a correction that may be kept."""
    check_label(corrected.label)
    asked = corrected.asked
    if hashlib.sha256(corrected.image).hexdigest() != asked.sha256:
        raise InvalidInput("This is not the image that was asked about.", "Choose that image, or ask about this one first.")
    image = check_sent(corrected.image, IMAGE_LIMITS)
    if corrected.box is not None:
        _check_box(corrected.box, image.size)
    data = stored_manifest(archive_file(home.serve.store, asked.model, asked.model_version)).data.path
    return data, image.format.lower()


def _check_box(box: Box, size: tuple[int, int] | None) -> None:
    if size is None:
        raise InvalidInput("A box in an image of more than 12 million pixels is kept of a JPEG alone.", "Save it as a JPEG.")
    (left, top, right, bottom), (width, height) = box, size
    if not (0 <= left <= right - 1 and right <= width and 0 <= top <= bottom - 1 and bottom <= height):
        raise InvalidInput(
            f"This box is not in the image of {width} x {height} pixels.",
            "A box is left, top, right and bottom, in pixels from the upper left corner.",
        )


def _keep(home: Home, corrected: Corrected, data: str, form: str, by: str) -> Correction:
    at = datetime.now(UTC)
    correction = Correction(
        id=f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        at=at,
        by=by,
        label=check_label(corrected.label),
        box=corrected.box,
        data=data,
        name=visible(corrected.name)[:200],
        file=f"image.{form}",
        asked=corrected.asked,
    )
    root = claim(home).dashboard.corrections
    with hold(root / ".lock"):
        _make_room(home, len(corrected.image))
        with atomic_folder(root / correction.id) as folder:
            (folder / correction.file).write_bytes(corrected.image)
            correction.save(folder / _RECORD)
    return correction


def corrections(home: Home) -> list[Correction]:
    """All corrections that can be read, newest first."""
    return read_corrections(home)[0]


def read_corrections(home: Home) -> tuple[list[Correction], list[Unreadable]]:
    """All corrections, newest first, and those that cannot be read."""
    unreadable: list[Unreadable] = []
    folders = sorted((each for each in home.dashboard.corrections.glob("[0-9]*") if _ID.fullmatch(each.name)), reverse=True)
    read = [read_or_note(partial(Correction.load, folder / _RECORD), folder, unreadable) for folder in folders]
    return [each for each in read if each is not None], unreadable


def correction_image(home: Home, correction: Correction) -> Path:
    """The file of a correction's image."""
    return home.dashboard.corrections / correction.id / correction.file


def find_correction(home: Home, correction_id: str) -> Correction:
    """A correction.

    Raises:
        NotFound: There is none of this id.
    """
    folder = home.dashboard.corrections / correction_id
    if not _ID.fullmatch(correction_id) or not folder.is_dir():
        raise NotFound(f"There is no correction {correction_id[:100]!r}.", "It may have been dropped.")
    return Correction.load(folder / _RECORD)


def drop_correction(home: Home, correction_id: str) -> Correction:
    """Remove a correction and its image; returns it as it was.

    Raises:
        NotFound: There is none of this id.
    """
    correction = find_correction(home, correction_id)
    with hold(home.dashboard.corrections / ".lock"):
        remove_whole(home.dashboard.corrections / correction.id)
    return correction


def data_of(chosen: Sequence[Correction]) -> str:
    """Name of the data set of some corrections that may be accepted.

    Raises:
        InvalidInput: There are none, they are of several data sets, or one is accepted already.
    """
    names = sorted({each.data for each in chosen})
    if not names:
        raise InvalidInput("No correction is chosen.", "Choose some of one data set.")
    if len(names) > 1:
        raise InvalidInput(f"These corrections are of {' and '.join(names)}.", "Accept those of one data set at a time.")
    if any(each.accepted for each in chosen):
        raise InvalidInput("One of these corrections is accepted already.", "Choose the others.")
    return names[0]


def accept_corrections(
    home: Home, ids: Sequence[str], *, remote: str | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import the newest version of a data set with corrected images under their right labels, as its next version.

    Args:
        home: GLOCAL_HOME.
        ids: The corrections, all of one data set.
        remote: Address where versions are kept as well.
        progress: Called after every step.

    Raises:
        NotFound: There is no such correction, or the data set is gone.
        InvalidInput: As `data_of`; or they change nothing.
        Conflict: Two of them disagree, or another version was imported meanwhile.
        Rejected: The result would have defects; nothing is imported.
    """
    from model.data.importing.revising import LabelledImage, revise_dataset

    chosen = [find_correction(home, each) for each in ids]
    images = [LabelledImage(correction_image(home, each), each.label, each.box) for each in chosen]
    report = revise_dataset(data_of(chosen), images, home.data, home.datasets, remote=remote, progress=progress)
    with hold(home.dashboard.corrections / ".lock"):
        for each in chosen:
            file = home.dashboard.corrections / each.id / _RECORD
            if file.is_file():  # it was not dropped meanwhile
                each.model_copy(update={"accepted": f"{report.pin.path}@{report.pin.rev}"}).save(file)
    return report


def _make_room(home: Home, size: int) -> None:
    """Remove the oldest accepted corrections until there is room for another one."""
    kept = corrections(home)
    sizes = {each.id: _size(correction_image(home, each)) for each in kept}
    for each in reversed([each for each in kept if each.accepted]):
        if _fits(sizes, size):
            break
        remove_whole(home.dashboard.corrections / each.id)
        del sizes[each.id]
    if not _fits(sizes, size):
        raise Conflict(f"There are {len(sizes)} corrections, and no room for another.", "Accept or drop some first.")


def _fits(sizes: dict[str, int], size: int) -> bool:
    return len(sizes) < MAX_CORRECTIONS and sum(sizes.values()) + size <= MAX_BYTES


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0

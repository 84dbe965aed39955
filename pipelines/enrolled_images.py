"""Images of a new object that were sent: what is wrong with them, and the folder that they are imported from."""

import csv
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from model.data.headers import read_header
from model.data.manifest import MANIFEST
from model.data.sent import check_sent
from model.errors import InvalidInput
from model.schemas.sent_file import MOST
from serving.corrections import check_label
from serving.limits import IMAGE_LIMITS

Images = Sequence[tuple[str, bytes]]
"""Names, for people, and encoded images."""


def enrolment_mistakes(images: Images, label: str) -> dict[str, InvalidInput]:
    """What is wrong with an enrolment, by argument: with the label, or with one of the images, which is named."""
    found: dict[str, InvalidInput] = {}
    for argument, check in (("label", lambda: check_label(label)), ("images", lambda: _check_images(images))):
        try:
            check()
        except InvalidInput as error:
            found[argument] = error
    return found


def check_enrolled(images: Images, label: str) -> str:
    """The label without white space around it. Raises the first of `enrolment_mistakes`."""
    for error in enrolment_mistakes(images, label).values():
        raise error
    return label.strip()


def _check_images(images: Images) -> None:
    if not images:
        raise InvalidInput("No image was chosen.", "Choose a few images of the object, from several sides.")
    if len(images) > MOST:
        raise InvalidInput(f"{len(images)} images are too many.", f"At most {MOST} are enrolled at a time.")
    for name, data in images:
        try:
            check_sent(data, IMAGE_LIMITS)
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error.headline}", error.hint) from error


def write_enrolled(images: Images, label: str, folder: Path) -> None:
    """Write checked images of a label with their table into a folder, as an import takes them."""
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["file", "label"])
        for number, (_, data) in enumerate(images, 1):
            file = f"{number:02}.{read_header(data, IMAGE_LIMITS).format.lower()}"
            (folder / file).write_bytes(data)
            writer.writerow([file, label])


def enrolled_name(label: str) -> str:
    """Name of the data set that the images of a label become; enrolling more of them makes its next version."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-")[:40]
    mark = "" if plain == label else f"-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return f"enrolled-{plain}{mark}" if plain else f"enrolled{mark}"

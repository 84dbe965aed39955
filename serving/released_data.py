"""The fetched data of the release that answered: where the images of its gallery lie on this machine."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from model.data.manifest import Box, split_id
from model.errors import InvalidInput
from model.gallery_entries import id_beginning
from model.home import Home
from serving.archive import archive_file, stored_manifest
from serving.operations.operation import Answer


class Place(NamedTuple):
    """Where the image of a gallery entry lies: a file, and the box in it that the entry is; None: the whole image."""

    file: Path
    box: Box | None


def fetched_data(home: Home, model: str, answer: Answer) -> dict[str, Path]:
    """Folders of the data that the release of an answer was made from; see `data_of_release`."""
    return data_of_release(home, model, answer.model_version or "", answer.release)


def data_of_release(home: Home, model: str, version: str, release: str) -> dict[str, Path]:
    """Folders of the data that a release was made from, as far as they were fetched.

    The release is read from the endpoint's store. Another version's data may hold other images under the same names, so that
    nothing is returned if the store no longer has that release.

    Returns:
        Each folder by what the ids of its entries begin with: nothing for the data that the network was trained on.
    """
    with contextlib.suppress(InvalidInput):
        stored = stored_manifest(archive_file(home.serve.store, model, version))
        if stored.release_id == release:
            pins = stored.gallery or (stored.data,)
            folders = {id_beginning(pin, stored.data): home.datasets / pin.md5 for pin in pins}
            return {beginning: folder for beginning, folder in folders.items() if folder.is_dir()}
    return {}


def place_of(entry: str, folders: Mapping[str, Path]) -> Place | None:
    """Where the image of a gallery entry lies; None if no folder has it. No id leads out of the folders.

    Args:
        entry: Id of the entry.
        folders: The fetched data; see `data_of_release`.
    """
    with contextlib.suppress(ValueError, OSError):  # an id that no file can have
        for beginning in sorted(folders, key=len, reverse=True):
            folder = folders[beginning].resolve()
            path, box = split_id(entry.removeprefix(beginning))
            file = (folder / path).resolve()
            if entry.startswith(beginning) and file.is_relative_to(folder) and file.is_file():
                return Place(file, box)
    return None

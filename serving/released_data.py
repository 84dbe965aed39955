"""The fetched data of the release that answered: where the images of its gallery lie on this machine."""

import contextlib
from pathlib import Path

from model.errors import InvalidInput
from model.gallery_entries import id_beginning
from model.home import Home
from serving.archive import archive_file, stored_manifest
from serving.operations.operation import Answer


def fetched_data(home: Home, model: str, answer: Answer) -> dict[str, Path]:
    """Folders of the data that the release of an answer was made from, as far as they were fetched.

    The release is read from the endpoint's store. Another version's data may hold other images under the same names, so that
    nothing is returned if the store no longer has that release.

    Returns:
        Each folder by what the ids of its entries begin with: nothing for the data that the network was trained on.
    """
    with contextlib.suppress(InvalidInput):
        stored = stored_manifest(archive_file(home.serve.store, model, answer.model_version or ""))
        if stored.release_id == answer.release:
            pins = stored.gallery or (stored.data,)
            folders = {id_beginning(pin, stored.data): home.datasets / pin.md5 for pin in pins}
            return {beginning: folder for beginning, folder in folders.items() if folder.is_dir()}
    return {}

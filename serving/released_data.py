"""The fetched data of the release that answered: where the images of its gallery lie on this machine."""

import zipfile
from pathlib import Path

from pydantic import ValidationError

from model.home import Home
from model.release import RELEASE_MANIFEST, Release
from model.schemas.release_manifest import ReleaseManifest
from serving.operations.operation import Answer
from serving.protocol import RELEASE


def fetched_data(home: Home, model: str, answer: Answer) -> dict[str, Path]:
    """Folders of the data that the release of an answer was made from, as far as they were fetched.

    The release is read from the endpoint's store. Another version's data may hold other images under the same names, so that
    nothing is returned if the store no longer has that release.

    Returns:
        Each folder by what the ids of its entries begin with: nothing for the data that the network was trained on.
    """
    release = _stored_release(home.serve.store / f"{model}-{answer.model_version}.mar")
    if release is None or release.id != answer.release:
        return {}
    folders = {beginning: home.datasets / pin.md5 for beginning, pin in {"": release.pin}.items()}
    return {beginning: folder for beginning, folder in folders.items() if folder.is_dir()}


def _stored_release(archive: Path) -> Release | None:
    """The release in an archive, without its files; None if there is none that can be read."""
    try:
        with zipfile.ZipFile(archive) as packed:
            stated = packed.read(f"{RELEASE}/{RELEASE_MANIFEST}")
        return Release(archive, ReleaseManifest.model_validate_json(stated))
    except (OSError, KeyError, zipfile.BadZipFile, ValidationError):
        return None

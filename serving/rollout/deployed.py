"""The record of the versions that serve, on disk, so that they serve again after a restart."""

from pathlib import Path

from pydantic import Field, TypeAdapter

from model.errors import InvalidInput
from model.files import read_json, write_json
from model.schemas.release_manifest import ReleaseManifest
from model.schemas.schema import Schema
from serving.archive import Archive

_ARCHIVE = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\.mar$"


class Deployed(Schema):
    """One model's version that was verified at the endpoint and serves."""

    version: str = Field(description="The model version")
    archive: str = Field(pattern=_ARCHIVE, description="File name of the archive in the store")
    sha256: str = Field(description="Hash of the archive")
    release: str = Field(description="Id of the release that answers")
    embedding_space_id: str = Field(description="Embedding space of the answers")
    workers: int = Field(ge=1, description="Number of worker processes")
    previous: str | None = Field(
        None, pattern=_ARCHIVE, description="File name of the archive of the version that served before, which is kept"
    )


_REMEDY = "glocal serve start makes it again from the server, the store and the registry."
_ENTRIES = TypeAdapter(dict[str, Deployed])


def read_deployed(file: Path) -> dict[str, Deployed]:
    """The versions that serve, by model name; empty if there is no file.

    Raises:
        InvalidInput: The file is damaged, or a folder or a broken link is in its place.
    """
    try:
        return _ENTRIES.validate_python(read_json(file))
    except FileNotFoundError as error:
        if not file.is_symlink():
            return {}
        raise InvalidInput(f"{file} is a link to nothing.", _REMEDY) from error
    except IsADirectoryError as error:
        raise InvalidInput(f"{file} is a folder.", _REMEDY) from error
    except ValueError as error:
        raise InvalidInput(f"{file} is damaged.", _REMEDY) from error


def record_of(archive: Archive, manifest: ReleaseManifest, version: str, workers: int) -> Deployed:
    """The record of a version whose archive holds the release of this manifest."""
    return Deployed(
        version=version,
        archive=archive.path.name,
        sha256=archive.sha256,
        release=manifest.release_id,
        embedding_space_id=manifest.embedding_space_id,
        workers=workers,
    )


def readable_deployed(file: Path) -> dict[str, Deployed]:
    """`read_deployed`; empty as well if the file is damaged."""
    try:
        return read_deployed(file)
    except InvalidInput:
        return {}


def damage(file: Path) -> InvalidInput | None:
    """The error of a damaged file; None if the file is whole or missing."""
    try:
        read_deployed(file)
    except InvalidInput as error:
        return error
    return None


def write_deployed(file: Path, name: str, entry: Deployed) -> None:
    """Record the version that serves as `name`."""
    entries = {**read_deployed(file), name: entry}
    write_json(file, {key: value.model_dump() for key, value in entries.items()})

"""What serves, on disk, so that it serves again after a restart."""

from dataclasses import asdict, dataclass
from pathlib import Path

from model.files import read_json, write_json


@dataclass(frozen=True)
class Deployed:
    """One model's version that was verified at the endpoint and made its default.

    Attributes:
        version: The model version.
        archive: The archive's file name in the store.
        sha256: Of the archive.
        release, embedding_space_id: What it answers with.
        workers: How many serve it.
    """

    version: str
    archive: str
    sha256: str
    release: str
    embedding_space_id: str
    workers: int


def read_deployed(file: Path) -> dict[str, Deployed]:
    """What serves, by model name; nothing where nothing was deployed."""
    if not file.exists():
        return {}
    return {name: Deployed(**entry) for name, entry in read_json(file).items()}


def write_deployed(file: Path, name: str, entry: Deployed) -> None:
    """Record what serves as `name`."""
    write_json(file, {key: asdict(value) for key, value in {**read_deployed(file), name: entry}.items()})

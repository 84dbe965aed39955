"""The file of the gateway that says which challenges it has aborted, so that they stay so and `glocal serve status` shows why."""

from pathlib import Path

from pydantic import TypeAdapter

from model.files import read_json, write_json
from model.schemas.challenge import Aborted, Challenge

_ENTRIES = TypeAdapter(dict[str, Aborted])


def read_aborted(file: Path) -> dict[str, Aborted]:
    """The aborted challenges, by model name; none if the file is missing or damaged."""
    try:
        return _ENTRIES.validate_python(read_json(file))
    except (OSError, ValueError):
        return {}


def write_aborted(file: Path, name: str, entry: Aborted) -> None:
    """Record that a model's challenge was aborted."""
    write_json(file, {key: value.model_dump(mode="json") for key, value in {**read_aborted(file), name: entry}.items()})


def reason_of(file: Path, name: str, version: str, challenge: Challenge) -> str:
    """Why the challenge of a model by a version was aborted; empty if it was not, also where an earlier one was."""
    entry = read_aborted(file).get(name)
    is_this = entry is not None and (entry.version, entry.started) == (version, challenge.started)
    return entry.reason if entry is not None and is_this else ""

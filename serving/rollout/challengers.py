"""The record of the challengers, on disk, so that they are brought back after a restart."""

import logging
from pathlib import Path

from pydantic import Field, TypeAdapter

from model.files import read_json, write_json
from model.home import ServeFolder
from model.schemas.challenge import Challenge
from serving.rollout.deployed import Deployed, read_deployed

_log = logging.getLogger(__name__)


class DeployedChallenger(Deployed):
    """A version that was verified at the endpoint and is tried beside the one that serves."""

    challenge: Challenge = Field(description="Its terms")


_ENTRIES = TypeAdapter(dict[str, DeployedChallenger])


def read_challengers(file: Path) -> dict[str, DeployedChallenger]:
    """The challengers, by model name; none if there is no file. A damaged file ends the challenges: nobody depends on them."""
    try:
        return _ENTRIES.validate_python(read_json(file))
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        _log.warning("%s cannot be read: no version is tried beside one that serves.", file)
    return {}


def write_challenger(file: Path, name: str, entry: DeployedChallenger | None) -> None:
    """Record the challenger of a model; None forgets it."""
    entries = {**read_challengers(file), name: entry}
    write_json(file, {key: value.model_dump(mode="json") for key, value in entries.items() if value is not None})


def on_record(folder: ServeFolder) -> list[tuple[str, Deployed]]:
    """Name and record of every version that is to be at the server: those that serve, and their challengers."""
    deployed = read_deployed(folder.deployed)
    challengers = read_challengers(folder.challengers)
    return [*deployed.items(), *((name, entry) for name, entry in challengers.items() if name in deployed)]


def kept_archives(folder: ServeFolder) -> set[str]:
    """File names of the archives that stay in the store: of all versions on record, and of the one that served before each."""
    entries = [entry for _, entry in on_record(folder)]
    return {entry.archive for entry in entries} | {entry.previous for entry in entries if entry.previous}

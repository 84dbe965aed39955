"""The order of a recorded run, to order it again with or without changes."""

from dataclasses import dataclass
from typing import Any

from model.environment import Environment


@dataclass(frozen=True)
class Again:
    """What a run was started with, as far as this code has it.

    Attributes:
        source: The source.
        name: Name of the data set.
        settings: The settings that are not the default, by section.
        why: The reason.
        dropped: Settings of that run that this code does not have or does not accept.
    """

    source: str
    name: str
    settings: dict[str, Any]
    why: str
    dropped: tuple[str, ...]


def again(environment: Environment, run_id: str) -> Again:
    """What a run was started with, from its record; runs of earlier revisions too.

    Raises:
        NotFound: There is no such run.
        InvalidInput: It is no training.
    """
    raise NotImplementedError

"""What a recorded run was started with, to order it again with or without changes. Runs of earlier code can be repeated too."""

import contextlib
from dataclasses import dataclass
from typing import Any

import yaml

from model.config import parse_config
from model.data.importing.dataset_name import default_name
from model.errors import InvalidInput
from serving.lineage import changed_from_default
from serving.registry.runs import Runs


@dataclass(frozen=True)
class Again:
    """What a training was started with, as far as this code has it.

    Attributes:
        source: The source.
        name: Name of the data set; empty if it is named after the source.
        settings: The settings that are not the default of this code, by section, as `parse_config` takes them.
        why: The reason.
        dropped: Settings of that run, with their values, that this code does not have or does not accept.
    """

    source: str
    name: str
    settings: dict[str, Any]
    why: str
    dropped: dict[str, str]


def again(runs: Runs, run_id: str) -> Again:
    """What a training was started with, from its record.

    Args:
        runs: The record of runs.
        run_id: The run.

    Raises:
        NotFound: There is no such run.
        InvalidInput: It is no training.
    """
    run = runs.run(run_id)
    if run.kind != "training" or "source" not in run.params:
        raise InvalidInput(f"{run.name} is no training.", "Choose a run of glocal run.")
    source, name = run.params["source"], run.params.get("name", "")
    with contextlib.suppress(InvalidInput):
        name = "" if default_name(source) == name else name
    settings: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    for setting, change in changed_from_default(run).items():
        section, _, key = setting.partition(".")
        accepted = [value for value in _readings(change.after) if _is_accepted({section: {key: value}})]
        if accepted:
            settings.setdefault(section, {})[key] = accepted[0]
        else:
            dropped[setting] = change.after
    return Again(source, name, settings, run.why, dropped)


def _readings(text: str) -> list[Any]:
    """What a recorded text may stand for: a value in YAML, as `--set` reads it, or the text itself."""
    with contextlib.suppress(yaml.YAMLError, ValueError):
        return [yaml.safe_load(text), text]
    return [text]


def _is_accepted(tree: dict[str, Any]) -> bool:
    with contextlib.suppress(InvalidInput):
        parse_config(tree)
        return True
    return False

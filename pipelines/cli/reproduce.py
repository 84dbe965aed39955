"""`glocal reproduce`: the training of a registered version repeated, and compared with it."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.signals import ended_by_signals
from model.text import counted, visible
from pipelines.cli.console import Console, say, summarise
from pipelines.cli.options import Json, ModelName
from pipelines.cli.promote import figure_text

if TYPE_CHECKING:
    from model.schemas.reproduction import Reproduction

_FILES = 10
"""Changed files that are named."""


def reproduce(
    version: Annotated[str, typer.Argument(metavar="V", help="The registered version.", show_default=False)],
    name: ModelName = "",
    as_json: Json = False,
) -> None:
    """Train a version again on the same data, settings and seed, and say whether figures and embeddings agree.

    Nothing is registered. Exit code 1: they do not agree.
    """
    from pipelines.reproducing import run_reproduction
    from serving.registry.models import choose_model

    environment = Environment()
    model = choose_model(environment.mlflow_uri, name)
    with ended_by_signals():
        result = run_reproduction(model, version, environment=environment, listener=Console())
    found = result.reproduction
    if found is None:
        summarise(result)
    if as_json:
        told = {**found.model_dump(mode="json"), "run_id": result.run_id, "log": result.log} if found else result.to_json()
        print(json.dumps(told))
    elif found:
        for topic, text in _lines(found):
            print(visible(f"{topic:<20} {text}"))
    for note in found.notes if found else ():
        say(visible(f"Note: {note}"))
    sys.exit(result.exit_code)


def _lines(found: "Reproduction") -> Iterator[tuple[str, str]]:
    """The comparison as lines of a name and a text."""
    yield "version", f"{found.model} version {found.version}, trained again on {found.data.named}"
    if found.code:
        yield "code", f"{found.code.before} -> {found.code.after}"
        if found.changed_files:
            more = f" and {len(found.changed_files) - _FILES} more" if len(found.changed_files) > _FILES else ""
            yield "", f"{counted(len(found.changed_files), 'file')} differ: {', '.join(found.changed_files[:_FILES])}{more}"
    if found.machine:
        yield "machine", str(found.machine)
    for name, figure in found.figures.items():
        yield name, figure_text(figure)
    if found.embeddings_difference is not None:
        same = ", the same weights to the last bit" if found.same_weights else ""
        yield "embeddings", f"{found.embeddings} compared, largest difference {found.embeddings_difference:.2g}{same}"
    yield "verdict", f"{'agrees' if found.agrees else 'does NOT agree'} to {found.tolerance:g}"

"""`glocal lineage`: where a version comes from, and which versions some data went into."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.errors import InvalidInput
from model.text import counted, visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import say
from pipelines.cli.models import entry_line, local_time
from pipelines.cli.options import Json, ModelName

if TYPE_CHECKING:
    from model.schemas.data_pin import DataPin
    from model.schemas.lineage import DataUse, DataUses, Lineage

Version = Annotated[str, typer.Argument(metavar="[V]", help="The registered version.", show_default=False)]


def lineage(
    version: Version = "",
    name: ModelName = "",
    image: Annotated[Path | None, typer.Option(help="Which versions saw this image, and how.", show_default=False)] = None,
    data: Annotated[
        str, typer.Option(help="Which versions this data set, or name@revision, went into.", show_default=False)
    ] = "",
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a flow chart in Mermaid's language.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a version comes from (data, code, settings, run, figures, gate, promotions), or which versions saw some data."""
    if sum((bool(version), image is not None, bool(data))) != 1:
        raise InvalidInput("Name a version, or --image, or --data.", "glocal models lists the versions.")
    if mermaid and (as_json or not version):
        raise InvalidInput("--mermaid draws one version.", "glocal lineage V --mermaid")
    environment = Environment()
    if version:
        from pipelines.actions.models import model_of, show_lineage

        found = ask(show_lineage, model=model_of(name), version=version)
        _show_lineage(found, mermaid=mermaid, as_json=as_json)
        return
    if image is not None:
        from serving.data_uses import uses_of_image

        refuse_elsewhere(environment, "glocal lineage --image")
        uses = uses_of_image(environment.home, environment.mlflow_uri, image)
    else:
        from pipelines.actions.models import list_uses

        uses = ask(list_uses, data=data)
    _show_uses(uses, as_json=as_json)


def _show_lineage(found: "Lineage", *, mermaid: bool, as_json: bool) -> None:
    if mermaid:
        from serving.lineage_chart import lineage_chart

        print(lineage_chart(found))
        return
    if as_json:
        print(json.dumps(found.model_dump(mode="json")))
        return
    for name, text in _lines(found):
        print(visible(f"{name:<10} {text}"))
    for note in found.notes:
        say(visible(f"Not on record: {note}"))


def _lines(found: "Lineage") -> Iterator[tuple[str, str]]:
    """The lineage as lines of a name and a text."""
    version, run = found.version, found.run
    states = ", ".join([*version.aliases, *(["serves"] if found.serves else [])])
    yield "version", "  ".join(filter(None, (version.label, states, f"registered {local_time(version.created)}")))
    yield "release", f"{version.release}  embedding space {version.embedding_space_id}"
    if found.data:
        yield "data", _pin(found.data)
    for pin in found.gallery:
        yield "gallery", _pin(pin)
    if version.base_version:
        yield "base", f"version {version.base_version}{_changed(found)}"
    yield "code", version.code_revision + (f"  commit {run.git_commit}" if run and run.git_commit else "")
    if run:
        yield "run", f"{run.name}  {run.kind}, {run.started.astimezone():%Y-%m-%d %H:%M}, by {run.user}  {run.why}".rstrip()
        yield "log", run.folder
    for name, setting in found.settings.items():
        yield "setting", f"{name} {setting.after or 'unset'}  (default {setting.before or 'unset'})"
    measured = f"  (of version {found.evaluated}, the same network)" if found.evaluated != version.version else ""
    for name, figure in found.figures.items():
        yield "figure", f"{name} {figure.value:.3f} [{figure.lower:.3f}, {figure.upper:.3f}]{measured}"
    if found.decision:
        compared = f", compared with {found.decision.champion}" if found.decision.champion else ""
        yield "gate", f"{'passed' if found.decision.passed else 'refused'}{compared}"
        for rule in found.decision.rules:
            yield "", rule.text
    for entry in found.promotions:
        yield "promotion", entry_line(entry)


def _changed(found: "Lineage") -> str:
    if found.change is None:
        return ""
    counts = (("added", found.change.added), ("removed", found.change.removed))
    parts = [f"{counted(sum(labels.values()), 'image')} {what} ({', '.join(labels)})" for what, labels in counts if labels]
    return f": {', '.join(parts)}" if parts else ""


def _pin(pin: "DataPin") -> str:
    size = f"{counted(pin.images, 'image')}, {counted(pin.classes, 'class', 'classes')}"
    return f"{pin.path}@{pin.rev}  md5 {pin.md5}  {size}" + (f"  {pin.licence}" if pin.licence else "")


def _show_uses(found: "DataUses", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.model_dump(mode="json")))
        return
    for use in found.uses:
        print(visible(_use_line(use)))
    if not found.uses:
        say("No registered version is known to have seen it.")
    for line in found.unread:
        say(visible(f"Warning: may have seen it too: {line}"))


def _use_line(use: "DataUse") -> str:
    states = ", ".join([*use.aliases, *(["serves"] if use.serves else [])])
    ways = {"trained on": use.trained, "tested on": use.tested, "in its gallery": use.gallery}
    how = ", ".join(way for way, so in ways.items() if so)
    places = "; ".join(f"{seen.path} ({seen.label}, {seen.split})" for seen in use.images)
    return "  ".join(filter(None, (f"{use.model} {use.version}", states, how, use.data, places)))

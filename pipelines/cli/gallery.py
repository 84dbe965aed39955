"""`glocal gallery`: the objects that a served model knows. Nothing is trained."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from model.environment import Environment
from model.errors import InvalidInput
from model.signals import ended_by_signals
from model.text import counted, visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import Console, confirm, say, show_change, summarise
from pipelines.cli.options import DryRun, Json, Settings, Yes

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.config import RunConfig
    from model.schemas.decision import Decision
    from model.schemas.gallery import GalleryChange, GalleryDiff
    from model.schemas.run_result import RunResult

commands = typer.Typer(help="The objects that a served model knows; changed without training.", no_args_is_help=True)
Source = Annotated[str, typer.Argument(help="A folder of one folder a label, a CSV, s3://bucket/prefix, or name@revision.")]
Name = Annotated[str, typer.Option(help="Name of the model; default: the only one that has a champion.")]
DataName = Annotated[str, typer.Option(help="Name of the data set that the images become; default: the folder's name.")]
Version = Annotated[str, typer.Option(help="Version; default: the champion.")]
Why = Annotated[str, typer.Option(help="The reason, for the promotion's record.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="A label, all of whose images are removed. May be repeated.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Id of one image. May be repeated.")]


@commands.command()
def build(
    source: Source,
    name: Name = "",
    version: Version = "",
    data_name: DataName = "",
    set_: Settings = None,
    why: Why = "a new gallery",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Replace the gallery of a model by the images of a source, under the same weights."""
    refuse_elsewhere(Environment(), "glocal gallery build")
    _enrol(source, name, version, data_name, set_, why, replace=True, yes=yes, dry_run=dry_run, as_json=as_json)


@commands.command()
def add(
    source: Source,
    name: Name = "",
    data_name: DataName = "",
    set_: Settings = None,
    why: Why = "new images",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Add images to the gallery of a model: of new objects, or more of known ones. Copies are not added again.

    A dashboard elsewhere is sent the images of a folder of one folder a label, one label after the other.
    """
    if Environment().server:
        if data_name or set_ or dry_run:
            raise InvalidInput("--data-name, --set and --dry-run work on the machine of the home alone.", "Leave them out.")
        _send(source, name, why, as_json)
    _enrol(source, name, "", data_name, set_, why, replace=False, yes=True, dry_run=dry_run, as_json=as_json)


@commands.command()
def remove(
    label: Labels = None,
    identity: Ids = None,
    name: Name = "",
    set_: Settings = None,
    why: Why = "a removal",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove labels or single images from the gallery of a model."""
    refuse_elsewhere(Environment(), "glocal gallery remove")
    labels, ids = label or [], identity or []
    if not labels and not ids:
        raise InvalidInput("Nothing is named that should be removed.", "Name labels or images: --label LABEL, --id ID.")
    config = _settings(set_, "gate")
    from components.runtime.revision import code_revision
    from pipelines.galleries import base_to_change, run_removal

    environment, console = Environment(), Console()
    base = base_to_change(environment, name, listener=console)
    if dry_run:
        from serving.enrolment import preview_removal

        places: dict[str, Any] = {"home": environment.home, "tracking_uri": environment.mlflow_uri}
        _show_preview(*preview_removal(labels, ids, base, gate=config.gate, **places, code_revision=code_revision()), as_json)
        return
    what = ", ".join([*labels, *ids])
    confirm(f"Remove {what} from the gallery of {base.model}?", yes=yes)
    _run(lambda: run_removal(labels, ids, base, config, environment=environment, listener=console, why=why), as_json)


@commands.command("list")
def list_(
    label: Annotated[str | None, typer.Option(help="A label, to list the ids of its images.")] = None,
    name: Name = "",
    version: Version = "",
    as_json: Json = False,
) -> None:
    """The labels of a model's gallery with the number of their images, or the images of one label."""
    refuse_elsewhere(Environment(), "glocal gallery list")
    from model.gallery_entries import counts_by_label, ids_of
    from serving.galleries import opened_release

    with opened_release(Environment().mlflow_uri, name, version) as (base, release):
        if label is not None:
            ids = ids_of(release.gallery, label)
            shown: dict[str, Any] = {"label": label, "ids": ids}
            lines = [visible(each) for each in ids]
        else:
            counts = counts_by_label(release.gallery)
            shown = {"labels": counts, "images": len(release.gallery), "data": [pin.to_json() for pin in release.gallery_pins]}
            lines = [f"{count:6d}  {visible(each)}" for each, count in counts.items()]
    if as_json:
        print(json.dumps({"model": base.model, "version": base.version, "release": release.id} | shown))
        return
    say(f"{base.model} version {base.version}: {counted(len(lines), 'image' if label is not None else 'label')}")
    for line in lines:
        print(line)


@commands.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another version.")],
    name: Name = "",
    as_json: Json = False,
) -> None:
    """What the gallery of version B holds and that of version A does not, and the other way round."""
    from serving.galleries import compare_versions

    refuse_elsewhere(Environment(), "glocal gallery diff")
    found = compare_versions(Environment().mlflow_uri, name, before, after)
    if as_json:
        print(found.model_dump_json())
        return
    for line in _lines(found):
        print(visible(line))


def _send(source: str, name: str, why: str, as_json: bool) -> NoReturn:
    """Let a dashboard elsewhere enrol the labels of a folder; the exit code is that of the first that failed."""
    from model.schemas.sent_file import SentFile
    from pipelines.actions.galleries import enrol_images
    from pipelines.actions.models import model_of

    labels = sorted(each for each in Path(source).glob("[!.]*") if each.is_dir())
    if not labels:
        raise InvalidInput(
            f"{source} is no folder of one folder a label.", "Such as mugs/blue-mug/1.jpg: glocal gallery add mugs."
        )
    model, results = model_of(name), []
    for folder in labels:
        images = tuple(SentFile.of(file.name, file.read_bytes()) for file in sorted(folder.glob("[!.]*")) if file.is_file())
        say(f"{visible(folder.name)}: {counted(len(images), 'image')}")
        results.append(ask(enrol_images, tell=Console(), model=model, label=folder.name, images=images, why=why))
        summarise(results[-1])
    if as_json:
        print(json.dumps([each.to_json() for each in results]))
    sys.exit(next((each.exit_code for each in results if each.exit_code), 0))


def _enrol(
    source: str,
    name: str,
    version: str,
    data_name: str,
    settings: list[str] | None,
    why: str,
    *,
    replace: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    config = _settings(settings, "data", "gate")
    from components.runtime.revision import code_revision
    from pipelines.galleries import base_to_change, gallery_data, run_enrolment
    from pipelines.sources import locate_for

    environment, console = Environment(), Console()
    source = locate_for("local" if dry_run else environment.runner, source)
    base = base_to_change(environment, name, version, listener=console)
    if dry_run:
        from serving.enrolment import preview_enrolment

        previewed = preview_enrolment(
            source,
            data_name,
            gallery_data(config),
            base,
            replace=replace,
            gate=config.gate,
            home=environment.home,
            tracking_uri=environment.mlflow_uri,
            code_revision=code_revision(),
            progress=console.progress,
        )
        _show_preview(*previewed, as_json)
        return
    if replace:
        confirm(f"Replace the whole gallery of {base.model} by {source}?", yes=yes)
    _run(
        lambda: run_enrolment(
            source, base, config, replace=replace, name=data_name, environment=environment, listener=console, why=why
        ),
        as_json,
    )


def _settings(given: list[str] | None, *sections: str) -> "RunConfig":
    """The settings of a change, which are of some sections alone: weights, index and thresholds stay as they are.

    Raises:
        InvalidInput: A setting is of another section, or is none.
    """
    from model.config import load_config

    config = load_config(None, given or ())
    for setting in given or ():
        if re.split(r"[.=]", setting, maxsplit=1)[0].strip() not in sections:
            raise InvalidInput(f"{setting} changes nothing here.", f"Settings that count: those of {' and '.join(sections)}.")
    return config


def _run(start: "Callable[[], RunResult]", as_json: bool) -> None:
    with ended_by_signals():
        result = start()
    summarise(result)
    if as_json:
        print(json.dumps(result.to_json()))
    sys.exit(result.exit_code)


def _show_preview(change: "GalleryChange", decision: "Decision | None", as_json: bool) -> None:
    """Show what would be done. The exit code is that of the run: 6 if the gate would refuse it."""
    from model.schemas.run_result import REJECTED_EXIT_CODE

    show_change(change)
    for rule in decision.rules if decision else ():
        say(f"  {'holds' if rule.held else 'refused':<9} {visible(rule.text)}")
    say("  dry run   nothing was changed")
    if as_json:
        decided = decision.model_dump(mode="json") if decision else None
        print(json.dumps({"dry_run": True, "gallery": change.model_dump(mode="json"), "decision": decided}))
    sys.exit(0 if decision is None or decision.passed else REJECTED_EXIT_CODE)


def _lines(found: "GalleryDiff") -> list[str]:
    """Two galleries compared, in lines for a person."""
    lines = [f"space        {'the same' if found.same_space else 'two spaces: their vectors cannot be compared'}"]
    lines.append(f"thresholds   {'the same' if found.same_thresholds else 'others'}")
    lines += [f"data         {' '.join(found.before.data)} -> {' '.join(found.after.data)}"]
    lines += [f"images       {found.before.images} -> {found.after.images}"]
    lines += [f"labels       {found.before.labels} -> {found.after.labels}"]
    lines += [f"new label    {label}" for label in found.labels_added]
    lines += [f"gone label   {label}" for label in found.labels_removed]
    lines += [f"+ {label}  {each}" for label, ids in found.added.items() for each in ids]
    lines += [f"- {label}  {each}" for label, ids in found.removed.items() for each in ids]
    return lines

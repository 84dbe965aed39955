"""What a person sees on standard error: a line a step, progress between them, and how a run ended."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import typer
from pydantic import BaseModel

from model.errors import InvalidInput
from model.progress import progress_text
from model.redaction import redacted
from model.schemas.gallery import GalleryChange
from model.schemas.reranking import Reranking
from model.schemas.run_event import RunEvent
from model.schemas.run_result import RunResult
from model.text import counted, visible

T = TypeVar("T", bound=BaseModel)
_LABELS = 10
"""Maximum labels of a change that are named."""
_PAUSE_S = 10.0
"""Between two lines of progress where the last one cannot be overwritten."""


def say(text: str) -> None:
    """Write a line on standard error."""
    print(redacted(text), file=sys.stderr, flush=True)


def show_all(found: Sequence[T], line: Callable[[T], str], nothing: str, *, as_json: bool) -> None:
    """Print what was found: as a JSON list, or a line for each; that there is nothing goes to standard error."""
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in found]))
        return
    for each in found:
        print(visible(line(each)))
    if not found:
        say(nothing)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person at a terminal before something is changed; elsewhere the option --yes must say so.

    Raises:
        InvalidInput: There is nobody to ask, or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} Nobody can be asked here.", "Add --yes, or look first: --dry-run.")
    if not typer.confirm(visible(question), err=True):
        raise InvalidInput("Nothing was changed.", "The answer was no.")


class Console:
    """Shows events on standard error: a line for every step, and between them the progress, where that can be overwritten."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._last = time.monotonic()

    def __call__(self, event: RunEvent) -> None:
        """Show one event of a run."""
        if event.event == "progress":
            self.progress_text(f"{event.step}: {event.text}")
        elif event.event == "finished":
            say(f"{self._clear()}  ok      {event.step:<11} {event.seconds:6.1f} s")
        elif event.event == "cached":
            say(f"{self._clear()}  cached  {event.step}")
        elif event.event == "failed":
            say(f"{self._clear()}  FAILED  {event.step}")
        elif event.event == "warning":
            self.warn([event.text])

    def progress(self, done: int, total: int, what: str) -> None:
        """Show the progress of a piece of work."""
        self.progress_text(progress_text(done, total, what))

    def progress_text(self, text: str) -> None:
        """Show a text that the next one overwrites; off a terminal one every ten seconds."""
        text = visible(text)
        if self.live:
            print(f"\r\x1b[K  ..      {text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last > _PAUSE_S:
            self._last = time.monotonic()
            say(f"  ..      {text}")

    def warn(self, lines: Iterable[str]) -> None:
        """Show warnings, a line each."""
        for line in lines:
            say(f"{self._clear()}Warning: {visible(line)}")

    def _clear(self) -> str:
        return "\r\x1b[K" if self.live else ""


def summarise(result: RunResult) -> None:
    """Show how a run ended."""
    if result.training:
        say(f"  training  {result.training}")
    if result.report:
        _show_report(result.report)
    if result.gallery:
        show_change(result.gallery)
    if result.model_version and result.status == "succeeded":
        say(f"  model     {result.model} version {result.model_version}, alias {result.alias}")
        say(f"  address   {result.address}")
    if result.status == "awaiting":
        say(f"  model     {result.model} version {result.model_version}, awaiting approval; what served serves on")
        say(f"  hint      An operator: glocal approve {result.model_version} --name {result.model} --why REASON")
    for text in result.refused or ():
        say(f"  refused   {visible(text)}")
    if result.decision:
        better = "Other labels or images" if result.gallery else "Better data or training"
        setting = f", or another {_listed(result.refused_rules)}" if result.refused_rules else ""
        say(f"  hint      {better}{setting}. All rules: {result.decision}")
    if error := result.error:
        say(visible(f"Error: {error.step}: {error.headline}"))
        for line in filter(None, [*error.defects, error.hint, f"Log: {error.log}"]):
            say(visible(f"  {line}"))


def show_change(change: GalleryChange) -> None:
    """Show what was added to a gallery and removed from it, by label."""
    for what, counts in (("added", change.added), ("removed", change.removed)):
        if counts:
            shown = ", ".join(f"{visible(label)} ({count})" for label, count in list(counts.items())[:_LABELS])
            rest = f" and {len(counts) - _LABELS} more labels" if len(counts) > _LABELS else ""
            say(f"  {what:<9} {counted(sum(counts.values()), 'image')}: {shown}{rest}")
    if change.copies:
        say(f"  copies    {counted(len(change.copies), 'image')} in the gallery already, not added again")
    if change.release is None:
        say(f"  gallery   unchanged: there is nothing to do; version {change.version} stays")
    say(f"  gallery   {counted(change.images, 'image')} of {counted(change.labels, 'label')}")


def _listed(names: Sequence[str]) -> str:
    """Names as a list: `a`, `a or b`, `a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _show_report(report: dict[str, Any]) -> None:
    untrained = report["untrained"]
    for name, key in (("Recall@1", "recall_at_1"), ("MAP@R", "map_at_r")):
        low, high = report[f"{key}_interval"]
        say(f"  {name:<9} {report[key]:.3f} [{low:.3f}, {high:.3f}]   untrained trunk {untrained[key]:.3f}")
    if reranking := report["reranking"]:
        say(f"  re-ranked {Reranking(**reranking).change('test')}")
    say(f"  verdict   {report['verdict']}")
    say(f"  report    {report['path']}")

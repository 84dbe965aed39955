"""Why a step of a training ran again, or did not: the run beside the last one of the same data before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.runtime.events import read_events
from model.schemas.data_pin import DataPin
from model.schemas.run_record import RunRecord
from model.schemas.step_plan import StepReason
from model.text import excerpt
from serving.registry.runs import Runs

STEPS = ("version", "train", "index", "evaluate", "gate", "register", "deploy", "smoke-test", "record")
"""The steps of a training in their order."""
SECTIONS = {"train": ("model", "train"), "index": ("index",), "evaluate": ("model", "train", "evaluate")}
"""The steps whose results may come from the cache, and the sections of the configuration that each takes. All take the data."""
UPSTREAM = {"train": (), "index": ("train",), "evaluate": ("train", "index")}
"""The steps whose artifacts each of these takes."""
ALWAYS = {
    "version": "It always runs: the images may have changed.",
    "gate": "It always runs: the champion may have changed.",
    "register": "It always runs where the gate is passed: the registry may have changed.",
    "deploy": "It always runs where the gate is passed: another version may serve by now.",
    "smoke-test": "It always runs where the gate is passed: it asks the endpoint.",
    "record": "It always runs: it closes the run's record.",
}
"""The other steps, and why each of them runs."""


@dataclass(frozen=True)
class Inputs:
    """What the steps of one run were given, or will be.

    Attributes:
        settings: Every setting by its full name, as a run records it.
        data: The data; None if they are not known.
        code: Revision of the code.
    """

    settings: Mapping[str, str]
    data: DataPin | None
    code: str

    @classmethod
    def of(cls, run: RunRecord) -> "Inputs":
        """Those of a run on record."""
        return cls(run.params, run.data, run.code_revision)

    def changes(self, step: str, before: "Inputs") -> list[str]:
        """What a step is given that differs from what it was given before, each as a clause."""
        return list(self._changes(step, before))

    def _changes(self, step: str, before: "Inputs") -> Iterator[str]:
        if self.code != before.code:
            yield "the code was changed"
        if self.data and before.data and (self.data.rev, self.data.md5) != (before.data.rev, before.data.md5):
            yield f"the data are {self.data.named}, and were {before.data.named}"
        for name in sorted({*self.settings, *before.settings}):
            old, new = (excerpt(each.settings.get(name, "")) or "empty" for each in (before, self))
            if "." in name and name.partition(".")[0] in SECTIONS[step] and old != new:
                yield f"{name} is {new}, and was {old}"


def last_training(runs: Runs, data: str, before: RunRecord | None = None) -> RunRecord | None:
    """The last training of a data set, with its steps; None if there is none.

    Args:
        runs: The record of runs.
        data: Name of the data set.
        before: Only what was started before this run counts.
    """
    found = runs.page(1, data=data, kind="training", before=before.started if before else None).runs
    return runs.run(found[0].id) if found else None


def why_not_cached(step: str, now: Inputs, last: RunRecord | None, ran: set[str]) -> str:
    """Why the result of a step is not taken from the cache, in one sentence.

    Args:
        step: The step.
        now: What it is given.
        last: The last training of the data before; None if there was none.
        ran: The steps before it that run as well.
    """
    if last is None:
        return "No earlier run of these data is on record."
    upstream = [f"{name} runs, whose result it takes" for name in UPSTREAM[step] if name in ran]
    if clauses := [*now.changes(step, Inputs.of(last)), *upstream]:
        return f"Since the last run of these data, {last.name}: {'; '.join(clauses)}."
    if step not in {each.name for each in last.steps if each.state == "succeeded"} and last.state in {"failed", "killed"}:
        return f"The last run of these data, {last.name}, did not come to its end."
    return "Its earlier result is not in the cache any more."


def step_reasons(runs: Runs, run: RunRecord) -> list[StepReason]:
    """The steps of a training that it has come to, each with the reason why it ran or was taken from the cache.

    Args:
        runs: The record of runs.
        run: The training, with its steps.
    """
    events = read_events(Path(run.folder))[0] if run.folder else []
    warned = {event.step: event.text for event in events if event.event == "warning" and event.text.endswith("runs again.")}
    ran = {step.name for step in run.steps}
    cached = {event.step for event in events if event.event == "cached"} - ran
    if not events and "gate" in ran:  # its folder was removed; what has no record of its own was not run
        cached = SECTIONS.keys() - ran
    last = last_training(runs, run.params.get("name", ""), run)
    now = Inputs.of(run)

    def why(step: str) -> str:
        if step in ALWAYS:
            return ALWAYS[step]
        if step in ran:
            return warned.get(step) or why_not_cached(step, now, last, ran)
        same = last is not None and not now.changes(step, Inputs.of(last))
        return f"Data, settings and code are those of {last.name if last and same else 'an earlier run'}, whose result was taken."

    return [StepReason(step=step, ran=step in ran, why=why(step)) for step in STEPS if step in ran or step in cached]

"""The steps of a run as they went or go: the tasks of its compiled pipeline, and the attempts at each from the events."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from model.schemas.run_event import RunEvent
from model.schemas.run_record import RunState, StepRecord

StepState = Literal["waiting", "running", "succeeded", "cached", "failed", "killed", "skipped"]
"""`waiting`: it may still come. `skipped`: the run ended without it."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Task(NamedTuple):
    """One task of a pipeline.

    Attributes:
        name: The name that it is shown under, which its step has as well.
        after: Names of the tasks that it waits for, without those that another one of them waits for.
        looped: Whether it is a step for each item of a list, `<name>-<item>`, which may be empty.
    """

    name: str
    after: tuple[str, ...]
    looped: bool = False


@dataclass
class Attempt:
    """One execution of a step.

    Attributes:
        began: Time of its begin, in seconds since 1970.
        ended: Time of its end; None while it is under way.
        state: How it ended.
    """

    began: float
    ended: float | None = None
    state: StepState = "running"


@dataclass
class RunStep:
    """One step of a run.

    Attributes:
        name: Its name.
        after: Names of the steps that it waits for.
        state: Its state.
        attempts: Its executions; several if it was tried again, none if it was not executed.
        text: Its latest progress, as a sentence.
        done: Units of work that are done; None if they are not counted.
        total: Units of work in all.
        warnings: Its warnings, and the defects that it found.
        headline: Why it failed.
        hint: What to do about that.
    """

    name: str
    after: tuple[str, ...] = ()
    state: StepState = "waiting"
    attempts: list[Attempt] = field(default_factory=list)
    text: str = ""
    done: int | None = None
    total: int | None = None
    warnings: list[str] = field(default_factory=list)
    headline: str = ""
    hint: str = ""

    @property
    def seconds(self) -> float | None:
        """Duration of all attempts that ended; None if none did."""
        ended = [attempt.ended - attempt.began for attempt in self.attempts if attempt.ended is not None]
        return sum(ended) if ended else None

    def take(self, event: RunEvent) -> None:
        """Add an event of this step."""
        if event.event == "started":
            self.attempts.append(Attempt(event.at))
            self.state, self.text, self.done, self.total, self.headline, self.hint = "running", "", None, None, "", ""
        elif event.event == "progress":
            self.text, self.done, self.total = event.text, event.done, event.total
        elif event.event in {"warning", "defect"}:
            self.warnings.append(event.text)
        elif event.event == "cached":
            self.state = "cached"
        else:
            self._end(event.at, "succeeded" if event.event == "finished" else "failed")
            self.headline, self.hint = event.headline, event.hint

    def close(self, state: RunState) -> None:
        """The run has ended: what is still under way was killed, and what did not begin is left out."""
        if self.state == "running":
            self._end(self.attempts[-1].ended, "killed" if state == "killed" else "failed")
        elif self.state == "waiting":
            self.state = "skipped"

    def _end(self, at: float | None, state: StepState) -> None:
        self.state = state
        if self.attempts:
            self.attempts[-1].ended, self.attempts[-1].state = at, state


def steps_of_events(tasks: Iterable[Task], events: Iterable[RunEvent], state: RunState) -> list[RunStep]:
    """The steps of a run by its events.

    Args:
        tasks: Tasks of its pipeline. A step that is none of them is added at the end.
        events: Its events.
        state: State of the run.
    """
    events = list(events)
    steps = {task.name: RunStep(task.name, task.after) for task in _unrolled(tasks, {event.step for event in events})}
    for event in events:
        if event.step != "run":  # what the run itself has to say
            steps.setdefault(event.step, RunStep(event.step)).take(event)
    if state != "running":
        for step in steps.values():
            step.close(state)
    return list(steps.values())


def _unrolled(tasks: Iterable[Task], begun: Iterable[str]) -> Iterator[Task]:
    """The tasks with those of loops as often as they have begun, which may be not at all."""
    rolled: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        after = tuple(dict.fromkeys(name for each in task.after for name in rolled.get(each, (each,))))
        if task.looped:
            items = sorted(int(item) for name, _, item in (each.rpartition("-") for each in begun) if name == task.name)
            names = tuple(f"{task.name}-{item}" for item in items)
            rolled[task.name] = names or after
            yield from (Task(name, after) for name in names)
        else:
            yield Task(task.name, after)


def steps_of_records(records: Iterable[StepRecord]) -> list[RunStep]:
    """The steps of a run whose folder is not on this machine, one after the other. Those from the cache have no record."""
    steps: dict[str, RunStep] = {}
    for record in records:
        last = tuple(steps)[-1:]
        step = steps.setdefault(record.name, RunStep(record.name, last))
        state: Any = record.state if record.state in {"running", "failed", "killed"} else "succeeded"
        step.attempts.append(Attempt(record.started.timestamp(), record.ended.timestamp() if record.ended else None, state))
        step.state = state
        if record.failure:
            step.headline, step.hint = record.failure.headline, record.failure.hint
    return list(steps.values())


@lru_cache(maxsize=128)
def tasks_of(pipeline: Path) -> tuple[Task, ...]:
    """The tasks of a compiled pipeline, each after those that it waits for; none if the file cannot be read.

    The groups of KFP, such as a condition, are dissolved: their tasks wait for what the group waits for.
    """
    try:
        with pipeline.open("rb") as file:
            whole = next(iter(yaml.load_all(file, _LOADER)))  # a safe loader; the second document is the cluster's
        found = list(_dissolved(whole["root"]["dag"]["tasks"], whole["components"], ()))
        shown = _shown_names(whole)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError, yaml.YAMLError):
        return ()
    after, looped = {task.name: task.after for task in found}, {task.name: task.looped for task in found}
    return tuple(Task(shown[name], tuple(shown[each] for each in _direct(name, after)), looped[name]) for name in _sorted(after))


def _shown_names(pipeline: Mapping[str, Any]) -> dict[str, str]:
    """The name that each task is shown under, by its name."""
    dags = [pipeline["root"]["dag"], *(each["dag"] for each in pipeline["components"].values() if "dag" in each)]
    return {name: task["taskInfo"]["name"] for dag in dags for name, task in dag["tasks"].items()}


def _dissolved(
    tasks: Mapping[str, Any], components: Mapping[str, Any], outer: tuple[str, ...], looped: bool = False
) -> Iterator[Task]:
    """The tasks within, each with the names of all tasks that it waits for."""
    inner = {
        name: inside["dag"]["tasks"]
        for name, task in tasks.items()
        if "dag" in (inside := components[task["componentRef"]["name"]])
    }
    for name, task in tasks.items():
        waits = [leaf for each in task.get("dependentTasks", ()) for leaf in _leaves(each, inner, components)]
        after = tuple(waits) or outer
        if name in inner:
            yield from _dissolved(inner[name], components, after, looped or "parameterIterator" in task)
        else:
            yield Task(name, after, looped)


def _leaves(name: str, groups: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    """The tasks of a group, at any depth; the task itself if it is none."""
    return [task.name for task in _dissolved(groups[name], components, ())] if name in groups else [name]


def _direct(name: str, after: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What a task waits for, without what is waited for by another of these."""
    further = {each for one in after[name] for each in _before(one, after)}
    return tuple(each for each in dict.fromkeys(after[name]) if each not in further)


def _before(name: str, after: Mapping[str, tuple[str, ...]]) -> set[str]:
    return set(after[name]).union(*(_before(each, after) for each in after[name]))


def _sorted(after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The tasks by the number of tasks before them."""
    return sorted(after, key=lambda name: len(_before(name, after)))

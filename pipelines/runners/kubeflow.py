"""The pipeline on a cluster: submitted to Kubeflow Pipelines, and followed to its end.

    glocal run --runner kubeflow  ->  Kubeflow Pipelines  ->  one pod a step

The steps keep their events, logs and results with the run's record in MLflow, which this machine and the pods reach alike. So who
follows the run sees what a local run shows. What no step could say, because its pod never began or was killed, Kubeflow says.
Ctrl-C ends the run in Kubeflow. A killed process leaves it alone: it goes on, and its steps close its record.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from components.runtime.events import emit, parse_events
from model.cluster import Kubeflow
from model.environment import Environment
from model.errors import GlocalError, InvalidInput, NotFound, Terminated, Unauthorized, Unavailable
from model.files import write_json, write_text
from model.home import BEGUN
from model.schemas.run_event import RunEvent
from pipelines.kubeflow.connection import Connection
from pipelines.kubeflow.runs import ENDED, KubeflowRun, KubeflowTask, look, submit, terminate
from pipelines.kubeflow.versions import upload
from pipelines.run_steps import tasks_of
from pipelines.runners.port import Listener, PipelineRun, Work
from serving.registry.records import EVENTS, KUBEFLOW_RUN, LOGS
from serving.registry.runs import Runs

RESULTS = ("report", "decision", "gallery", "reproduction")
"""Folders that the steps keep with the run's record, which a local run has in its own folder."""
_SILENT_S = 20.0
"""Seconds after the end of a task for its step's own word on it to arrive."""
_LOOK_AT_PODS = "Kubeflow's page of the run, and kubectl describe pod, say more."
T = TypeVar("T")


def run_on_kubeflow(work: Work, listener: Listener) -> PipelineRun:
    """Run a compiled pipeline on Kubeflow, and follow it to its end.

    Raises:
        InvalidInput: The record of runs is not at a server, or Kubeflow's address is not known.
        Unauthorized, Unavailable: Kubeflow refuses, or does not answer for long. If the run was started, it goes on.
    """
    refuse_local_records(work.environment)
    connection, runs = Connection(Kubeflow()), Runs(work.environment.mlflow_uri)
    version = upload(connection, work.pipeline, work.name)
    run_id = submit(connection, version, work.arguments, f"{work.title} ({work.run_id[:8]})")
    runs.log(work.run_id, tags={KUBEFLOW_RUN: run_id, "kubeflow_version": version.name})
    write_json(work.folder / BEGUN, {"run_id": work.run_id, KUBEFLOW_RUN: run_id})
    done = PipelineRun(work.folder / "run.log")
    try:
        _follow(connection, runs, run_id, work, done, listener)
    except (KeyboardInterrupt, SystemExit, Terminated):
        try:
            terminate(connection, run_id)
        except GlocalError as error:
            listener(_warning(f"The run {run_id} may go on in Kubeflow: {error}"))
        raise
    return done


def refuse_local_records(environment: Environment) -> None:
    """Refuse a record of runs that pods cannot reach.

    Raises:
        InvalidInput: It is a file of this machine.
    """
    if not environment.mlflow_uri.startswith(("http://", "https://")):
        raise InvalidInput(
            "On Kubeflow the record of runs must be an MLflow server, which the steps reach as well.",
            "Set GLOCAL_TRACKING_URI to its address, here and in the ConfigMap of the steps.",
        )


def _follow(connection: Connection, runs: Runs, run_id: str, work: Work, done: PipelineRun, listener: Listener) -> None:
    """Report the events of a run until it has ended, then fetch its results."""
    settings, told = connection.settings, _Told({task.name for task in tasks_of(work.pipeline)})

    def tell(events: Iterator[RunEvent] | list[RunEvent]) -> None:
        for event in events:
            emit(work.folder, event)
            done.take(event)
            listener(event)

    while True:
        seen = _patiently(lambda: look(connection, run_id), settings, lambda text: tell([_warning(text)]))
        ended = seen.state in ENDED  # before the events are read, so that all of them are
        tell(told.by_steps(_patiently(lambda: runs.texts(work.run_id, EVENTS, told.sizes), settings, lambda _: None)))
        tell(told.by_kubeflow(seen, last=ended))
        if ended:
            break
        time.sleep(settings.kubeflow_look_s)
    done.succeeded = seen.state == "succeeded" and not told.failed  # Kubeflow has said so of runs whose exit handler succeeded
    if seen.state == "cancelled":
        tell([RunEvent(step="pipeline", event="failed", at=time.time(), headline="The run was ended in Kubeflow.", hint="")])
    elif not done.succeeded and done.failure is None and seen.error:
        tell([RunEvent(step="pipeline", event="failed", at=time.time(), headline=seen.error, hint=_LOOK_AT_PODS)])
    write_text(done.log, f"Run {run_id} in Kubeflow: {seen.state}. {seen.error}\n")
    _fetch(runs, work)


class _Told:
    """What was told of a run already.

    Args:
        steps: Names of the steps.

    Attributes:
        sizes: Bytes that were read of each file of events.
        failed: The steps whose last attempt failed.
    """

    def __init__(self, steps: set[str]) -> None:
        self.sizes: dict[str, int] = {}
        self.failed = set[str]()
        self._steps, self._latest = steps, dict[str, float]()
        self._begun, self._ended = set[str](), set[str]()
        self._silent_since: dict[str, float] = {}

    def by_steps(self, texts: dict[str, str]) -> Iterator[RunEvent]:
        """The new events in files of the steps, in the order in which they happened."""
        found = []
        for name, text in texts.items():
            self.sizes[name] = len(text.encode())
            events = [event for event in parse_events(text.encode()) if event.at > self._latest.get(name, 0.0)]
            if events:
                self._latest[name] = events[-1].at
            found += events
        for event in sorted(found, key=lambda each: each.at):
            if event.event == "started":
                self._begun.add(event.step)
                self._ended.discard(event.step)
            elif event.event in {"finished", "failed"}:
                self._ended.add(event.step)
                (self.failed.add if event.event == "failed" else self.failed.discard)(event.step)
            yield event

    def by_kubeflow(self, seen: KubeflowRun, *, last: bool) -> Iterator[RunEvent]:
        """What the steps themselves did not say of their end: they were taken from the cache, or their pods failed."""
        for task in _latest_tasks(seen, self._steps):
            if task.state not in {"succeeded", "failed"} or task.name in self._ended:
                continue
            since = self._silent_since.setdefault(task.name, time.monotonic())
            if not last and time.monotonic() - since < _SILENT_S:
                continue  # its own word may be under way
            self._ended.add(task.name)
            at = (task.ended.timestamp() if task.ended else None) or time.time()
            if task.state == "failed":
                self.failed.add(task.name)
                headline = task.error or ("Its pod was ended." if task.name in self._begun else "Its pod did not begin.")
                yield RunEvent(step=task.name, event="failed", at=at, headline=headline, hint=_LOOK_AT_PODS)
            elif task.name in self._begun:
                seconds = (task.ended - task.began).total_seconds() if task.ended and task.began else 0.0
                yield RunEvent(step=task.name, event="finished", at=at, seconds=max(0.0, seconds))
            else:
                yield RunEvent(step=task.name, event="cached", at=at)


def _latest_tasks(seen: KubeflowRun, steps: set[str]) -> list[KubeflowTask]:
    """The tasks that are steps, in the order of their begin. Kubeflow lists its own ones as well, such as drivers."""
    found = [task for task in seen.tasks if task.name in steps and task.began is not None]
    return sorted(found, key=lambda task: task.began.timestamp() if task.began else 0.0)


def _patiently(ask: Callable[[], T], settings: Kubeflow, say: Callable[[str], None]) -> T:
    """Ask again while a server does not answer, or refuses a token that may be renewed, for as long as the settings say.

    Raises:
        Unauthorized, Unavailable: The time is over. The run goes on without being followed.
    """
    until, said = time.monotonic() + settings.kubeflow_patience_s, False
    while True:
        try:
            return ask()
        except (Unavailable, Unauthorized) as error:
            if time.monotonic() >= until:
                hint = f"The run goes on; its steps record it. {error.hint}"
                raise type(error)(error.headline, hint) from error
            if not said:
                say(f"{error.headline} It is asked again for {settings.kubeflow_patience_s:.0f} s. {error.hint}")
                said = True
            time.sleep(settings.kubeflow_look_s)


def _warning(text: str) -> RunEvent:
    return RunEvent(step="run", event="warning", at=time.time(), text=text)


def _fetch(runs: Runs, work: Work) -> None:
    """Copy the steps' results and logs from the record into the run's folder, where a local run has them."""
    for name in RESULTS:
        _copy(runs, work.run_id, name, work.folder)
    try:
        for name, text in runs.texts(work.run_id, LOGS, {}).items():
            write_text(work.folder / Path(name).name, text)
    except GlocalError:
        return  # the results stand in the record


def _copy(runs: Runs, run_id: str, name: str, folder: Path) -> None:
    try:
        runs.kept_file(run_id, name, folder)
    except NotFound:  # this pipeline or this run has none
        return

"""The port to what executes a compiled pipeline: this machine, its container engine, or a cluster. Each has a file beside it.

Every runner takes the same compiled file and calls the listener with the same events. It returns when the run has ended.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from model.environment import Environment
from model.schemas.run_event import RunEvent
from model.schemas.run_result import StepResult

RunnerName = Literal["local", "docker", "kubeflow"]
Listener = Callable[[RunEvent], None]
"""Called with every event of a run."""


@dataclass
class PipelineRun:
    """What is known of a run of a pipeline.

    Attributes:
        log: File with the output of the run.
        succeeded: Whether all steps that were due succeeded.
        steps: The finished steps in order.
        failure: The event of the first failed step, or None.
        defects: One line for each defect of the data.
        under_way: Name of the step that started last and did not end; empty if there is none.
        killed_by: Number of the signal that killed the runner or one of its steps; 0 if none did.
    """

    log: Path
    succeeded: bool = False
    steps: list[StepResult] = field(default_factory=list)
    failure: RunEvent | None = None
    defects: list[str] = field(default_factory=list)
    under_way: str = ""
    killed_by: int = 0

    def take(self, event: RunEvent) -> None:
        """Add an event to the run."""
        if event.event == "started" and not self.under_way:  # the step `record` follows one that was killed
            self.under_way = event.step
        if event.event in {"finished", "failed"} and event.step == self.under_way:
            self.under_way = ""
        if event.event in {"finished", "cached"}:
            self.steps.append(StepResult(name=event.step, seconds=event.seconds, cached=event.event == "cached"))
        if event.event == "defect":
            self.defects.append(event.text)
        if event.event == "failed" and self.failure is None:
            self.failure = event


@dataclass(frozen=True)
class Work:
    """A run that is to be executed.

    Attributes:
        pipeline: The compiled file.
        name: Name of the pipeline, such as `training`.
        arguments: The pipeline's parameters.
        title: Name of the run for people.
        run_id: Its record in MLflow.
        folder: Folder of its logs, events and results on this machine. Its lock (see `alive`) is held by the caller.
        variables: `GLOCAL_*` variables for steps on this machine: the home, the run, who started it.
        environment: The home, the registry and the addresses.
    """

    pipeline: Path
    name: str
    arguments: dict[str, Any]
    title: str
    run_id: str
    folder: Path
    variables: dict[str, str]
    environment: Environment


class Runner(Protocol):
    """What executes a compiled pipeline."""

    def __call__(self, work: Work, listener: Listener) -> PipelineRun:
        """Execute the pipeline to its end. Ended by an exception, such as Ctrl-C, it leaves no step under way."""


def runner_named(name: RunnerName) -> Runner:
    """The runner of this name. Only its own modules are imported."""
    if name == "kubeflow":
        from pipelines.runners.kubeflow import run_on_kubeflow

        return run_on_kubeflow
    if name == "docker":
        from pipelines.runners.docker import run_in_containers

        return run_in_containers
    from pipelines.runners.local import run_local

    return run_local

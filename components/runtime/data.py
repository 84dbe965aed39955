"""The data of a step: from a source to a pin, and from a pin to a folder."""

from pathlib import Path
from typing import Any

from components.runtime.run_record import record_data
from components.runtime.step import Step
from model.config import DataConfig
from model.data.importing.findings import Rejected, shown
from model.data.importing.pinning import pin_dataset
from model.data.versions.fetch import fetch
from model.data.versions.git_command import commit_of
from model.data.versions.ownership import has_repository
from model.data.versions.shared import join
from model.schemas.data_pin import DataPin
from model.schemas.run_event import EventKind


def pin_data(source: str, name: str, settings: dict[str, Any], current: Step) -> dict[str, Any]:
    """Import `source`, or resolve it if it is `name@revision`. Emit every finding, and record the version with the run.

    Without a name the data set is named after its source, and a source of other things than the last version's is refused.

    Raises:
        Rejected: The data set has defects.
    """
    environment = current.environment
    try:
        report = pin_dataset(
            source,
            name or None,
            environment.home.data,
            DataConfig(**settings),
            remote=environment.data_remote or None,
            shared=environment.data_git,
            progress=current.progress,
        )
    except Rejected as refused:
        _say("warning", shown(refused.findings.warnings, refused.report), current)
        _say("defect", shown(refused.findings.defects, refused.report), current)
        raise
    _say("warning", report.messages, current)
    current.figures |= {f"{split}_samples": float(count) for split, count in report.samples.items()}
    current.tags |= {"pin": f"{report.pin.path}@{report.pin.rev}", **({"report": str(report.report)} if report.report else {})}
    record_data(environment, report.pin, current.record_id)
    return report.pin.to_json()


def _say(kind: EventKind, lines: list[str], current: Step) -> None:
    """Emit one event for each line of an import's findings: `warning` or `defect`."""
    for line in lines:
        current.emit(kind, text=line)
        current.log.warning("%s", line)


def fetch_data(pin: dict[str, Any], current: Step) -> tuple[DataPin, Path]:
    """The pinned data as a folder, verified."""
    parsed, environment = DataPin.from_json(pin), current.environment
    store = environment.home.data
    if environment.data_git and not (has_repository(store) and commit_of(store.repo, parsed.rev)):
        join(store, environment.data_git)
    return parsed, fetch(parsed, store, environment.home.datasets)

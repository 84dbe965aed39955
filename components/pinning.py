"""How a component comes by its data: from a source to a pin, and from a pin to a folder."""

from pathlib import Path
from typing import Any

from components.runtime.step import Step, emit
from model.config import DataConfig
from model.data.importing.findings import Rejected, shown
from model.data.importing.import_dataset import ImportReport, import_dataset
from model.data.versions.fetch import fetch
from model.data.versions.pin import resolve
from model.schemas.data_pin import DataPin


def pin_data(source: str, name: str, settings: dict[str, Any], current: Step) -> dict[str, Any]:
    """Import `source`, or resolve it where it is `name@revision`. Tell every finding, and record the version with the run.

    Raises:
        Rejected: The data set has defects.
    """
    store = current.environment.home.data
    if "@" in source and not Path(source).exists():
        pin = resolve(store, source)
    else:
        try:
            report = _import(source, name, DataConfig(**settings), current)
        except Rejected as refused:
            _tell("warning", shown(refused.findings.warnings, refused.report), current)
            _tell("defect", shown(refused.findings.defects, refused.report), current)
            raise
        _tell("warning", shown(report.warnings, report.report), current)
        current.figures |= {f"{split}_samples": float(count) for split, count in report.samples.items()}
        current.tags |= {"report": str(report.report)}
        pin = report.pin
    current.tags |= {"pin": f"{pin.path}@{pin.rev}"}
    _record(pin, current)
    return pin.to_json()


def _import(source: str, name: str, config: DataConfig, current: Step) -> ImportReport:
    return import_dataset(
        source,
        name,
        current.environment.home.data,
        split=config.split,
        validation_fraction=config.validation_fraction,
        leaks=config.leaks,
        max_bytes=config.max_image_bytes,
        max_pixels=config.max_image_pixels,
        remote=current.environment.data_remote or None,
        licence=config.licence,
        progress=current.progress,
    )


def _tell(kind: str, lines: list[str], current: Step) -> None:
    """Emit an event of its own for each line of an import's findings: `warning` or `defect`."""
    for line in lines:
        emit(step=current.name, event=kind, text=line)


def _record(pin: DataPin, current: Step) -> None:
    """Put the version on the record of the run and of the step, as MLflow's dataset."""
    if current.environment.run_id:
        from serving.registry.runs import Runs

        runs = Runs(current.environment.mlflow_uri)
        for run_id in (current.environment.run_id, current.record_id):
            runs.log_dataset(run_id, pin)


def fetch_data(pin: dict[str, Any], current: Step) -> tuple[DataPin, Path]:
    """The pinned data as a folder, verified."""
    parsed = DataPin.from_json(pin)
    return parsed, fetch(parsed, current.environment.home.data, current.environment.home.datasets)

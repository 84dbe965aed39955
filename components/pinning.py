"""How a component comes by its data: from a source to a pin, and from a pin to a folder."""

from pathlib import Path
from typing import Any

from components.runtime.step import Step
from model.config import DataConfig
from model.data.importing.import_dataset import import_dataset
from model.data.versions.fetch import fetch
from model.data.versions.pin import resolve
from model.schemas.data_pin import DataPin


def pin_data(source: str, name: str, settings: dict[str, Any], current: Step) -> dict[str, Any]:
    """Import `source`, or resolve it where it is `name@revision`."""
    store = current.environment.home.data
    if "@" in source and not Path(source).exists():
        return resolve(store, source).to_json()
    config = DataConfig(**settings)
    report = import_dataset(
        source,
        name,
        store,
        split=config.split,
        validation_fraction=config.validation_fraction,
        leaks=config.leaks,
        max_bytes=config.max_image_bytes,
        max_pixels=config.max_image_pixels,
        remote=current.environment.data_remote or None,
        licence=config.licence,
        progress=current.progress,
    )
    current.figures |= {f"{split}_samples": float(count) for split, count in report.samples.items()}
    current.tags |= {"pin": f"{report.pin.path}@{report.pin.rev}", "report": str(report.report)}
    return report.pin.to_json()


def fetch_data(pin: dict[str, Any], current: Step) -> tuple[DataPin, Path]:
    """The pinned data as a folder, verified."""
    parsed = DataPin.from_json(pin)
    return parsed, fetch(parsed, current.environment.home.data, current.environment.home.datasets)

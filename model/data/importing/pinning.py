"""From a source or a reference to a pin, for the pipeline, the command line and the benchmarks."""

import time
from pathlib import Path

from model.config import DataConfig
from model.data.importing.dataset_name import is_reference
from model.data.importing.import_dataset import DEFAULTS, import_dataset
from model.data.importing.import_report import ImportReport
from model.data.versions.pin import import_record, resolve
from model.errors import InvalidInput
from model.home import DataStore
from model.progress import Progress


def pin_dataset(
    source: Path | str,
    name: str | None,
    store: DataStore,
    config: DataConfig = DEFAULTS,
    *,
    csv: Path | None = None,
    remote: str | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a folder, a CSV or an `s3://` prefix as `import_dataset` does, or look up the pin of `name@revision`.

    Raises:
        Rejected: The data set has defects.
        InvalidInput, NotFound, Unavailable: The source, a setting or the store cannot be used.
    """
    if not is_reference(str(source)):
        return import_dataset(source, name, store, config, csv=csv, remote=remote, progress=progress)
    if csv is not None:
        raise InvalidInput(f"{source} is a version that was imported; a CSV cannot be added to it.", "Import the folder again.")
    begun = time.monotonic()
    pin = resolve(store, str(source))
    return ImportReport.of(pin, import_record(store, pin), True, None, time.monotonic() - begun)

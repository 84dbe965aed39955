"""From a source or a reference to a pin, for the pipeline, the command line and the benchmarks."""

import time
from pathlib import Path

from model.config import DataConfig
from model.data.importing.dataset_name import is_reference
from model.data.importing.import_dataset import DEFAULTS, import_dataset
from model.data.importing.import_report import ImportReport
from model.data.versions.pin import dataset_names, import_record, resolve
from model.data.versions.shared import join
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
    shared: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a folder, a CSV or an `s3://` prefix as `import_dataset` does, or look up the pin of `name@revision`.

    The name alone, where there is no folder of that name, stands for the newest version.

    Args:
        source: What is imported or looked up.
        name: Name of the data set; None: after the source.
        store: Store that keeps the versions.
        config: Settings of the import.
        csv: Table of the folder.
        remote: Address where the files are kept as well.
        shared: Address of the git repository that several machines share; empty: there is none.
        progress: Called after every step.

    Raises:
        Rejected: The data set has defects.
        InvalidInput, NotFound, Unavailable: The source, a setting or the store cannot be used.
    """
    join(store, shared)
    if not is_reference(str(source)) and not _is_name(source, store):
        if shared and not remote:
            raise InvalidInput(
                "The names of the versions are shared with other machines, and their files are not.",
                "Set GLOCAL_DATA_REMOTE to what all of them reach, such as s3://bucket/prefix.",
            )
        return import_dataset(source, name, store, config, csv=csv, remote=remote, progress=progress)
    if csv is not None:
        raise InvalidInput(f"{source} is a version that was imported; a CSV cannot be added to it.", "Import the folder again.")
    begun = time.monotonic()
    pin = resolve(store, str(source))
    return ImportReport.of(pin, import_record(store, pin), True, None, time.monotonic() - begun)


def _is_name(source: Path | str, store: DataStore) -> bool:
    """Whether a source is the name of a data set, and no folder here."""
    return isinstance(source, str) and not Path(source).exists() and source in dataset_names(store)

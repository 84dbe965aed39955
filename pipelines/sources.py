"""The source of a run: its address where the steps are executed."""

import contextlib
from pathlib import Path

from model.cluster import POD_HOME
from model.data.importing.dataset_name import is_reference
from model.data.importing.object_store import split_address
from model.errors import InvalidInput
from model.schemas.data_pin import DATASET_NAME
from pipelines.runners.port import RunnerName


def locate(source: str) -> str:
    """The address of a source, independent of the current folder.

    Raises:
        InvalidInput: The source is no folder, no CSV, no `s3://` prefix and no `name@revision`.
    """
    with contextlib.suppress(OSError, RuntimeError):  # the name is too long or its user is unknown, so it is no path
        path = Path(source).expanduser()
        if source and path.exists():
            return _absolute(path)
    if source.startswith("s3://"):
        split_address(source)
        return source
    if is_reference(source):
        return source
    raise InvalidInput(
        f"There is no folder {source[:200] or repr(source)}.",
        "Give a folder with one subfolder for each class, a CSV, s3://bucket/prefix, or name@revision.",
    )


def locate_for(runner: RunnerName, source: str) -> str:
    """The address of a source where a runner executes the steps: `locate`, or on a cluster `locate_for_pods`."""
    return locate_for_pods(source) if runner == "kubeflow" else locate(source)


def locate_for_pods(source: str) -> str:
    """The address of a source that the pods of a cluster find as well.

    Raises:
        InvalidInput: It is on this machine alone.
    """
    path = Path(source)
    if source.startswith("s3://") or is_reference(source):
        return locate(source)
    if path.is_absolute() and path.is_relative_to(POD_HOME) and ".." not in path.parts:
        return source
    if DATASET_NAME.fullmatch(source) and not path.exists():
        return source  # its newest version
    raise InvalidInput(
        f"The nodes of the cluster do not see {source[:200] or repr(source)}.",
        "Import it first, with GLOCAL_DATA_REMOTE and GLOCAL_DATA_GIT set: glocal data import DIR --name NAME. "
        f"Then run NAME, or NAME@REVISION. Or name s3://bucket/prefix, or a folder of their volume, {POD_HOME}.",
    )


def _absolute(path: Path) -> str:
    """The path without `..`. A link keeps its own name, after which the data set is named."""
    if ".." not in path.parts:
        return str(path.absolute())
    return str(path.resolve() if path.name == ".." else path.parent.resolve() / path.name)

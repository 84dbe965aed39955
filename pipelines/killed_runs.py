"""Killed runs: recorded as killed, at once, by the next run or by the next start of the server.

A run's folder holds its state: `run.json` names its record, `alive` is locked while it runs, `result.json` is written at
its end. Any of these files may be damaged, and one such folder never stops another run.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from model.cluster import Kubeflow
from model.errors import GlocalError, NotFound, Unauthorized, Unavailable
from model.files import read_mapping, write_json
from model.home import ALIVE, BEGUN, RESULT, Home
from pipelines.runners.local import is_alive
from serving.registry.records import KUBEFLOW_RUN
from serving.registry.runs import Runs
from serving.registry.store import refuse_lost_records

_SEARCHED = 1000
"""Maximum records searched for a run whose folder does not name its record."""
_ASKED_S = 60.0
_asked: dict[str, float] = {}
"""When Kubeflow was last asked for a run, by its id."""
_REMEDY = "Remove or rename that folder, if nothing in it is needed."


def close_killed_runs(runs: Runs, folder: Path, say: Callable[[str], None]) -> None:
    """Mark runs whose process died as killed. Otherwise their records would show them as running for ever.

    Args:
        runs: The record of runs.
        folder: Folder that holds the folders of the runs.
        say: Called with one line for every damaged file.
    """
    for run_folder in sorted(folder.glob("*")):
        try:
            if run_folder.is_dir() and _is_open(run_folder):
                _close(runs, run_folder, say)
        except (OSError, GlocalError) as error:
            say(f"The run in {run_folder} cannot be closed: {error}. {_REMEDY}")


def close_runs_of(home: Home, tracking_uri: str, say: Callable[[str], None]) -> None:
    """`close_killed_runs` of a home, outside a run. Nothing is opened if no run was killed, and no database is made.

    Args:
        home: GLOCAL_HOME.
        tracking_uri: Address of the record of runs.
        say: Called with one line for every damaged file, and if the record cannot be read.
    """
    try:
        if any(_may_be_open(folder) for folder in home.runs.glob("*")):
            refuse_lost_records(tracking_uri, home, needed=True)
            close_killed_runs(Runs(tracking_uri), home.runs, say)
    except GlocalError as error:
        say(f"Killed runs cannot be closed: {error.headline}")


@contextlib.contextmanager
def killed_if_interrupted(runs: Runs, run_id: str, folder: Path) -> Iterator[None]:
    """Record a run as killed at once if Ctrl-C or an error ends the block, unless it goes on in Kubeflow."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Unavailable | Unauthorized) and _kubeflow_run(folder):
            raise
        write_json(folder / RESULT, {"status": _end(runs, run_id)})
        raise


def _is_open(folder: Path) -> bool:
    """Whether the folder belongs to a run that began, is over, and has no readable result."""
    began = any(_is_there(folder / name) for name in (BEGUN, ALIVE, RESULT))
    return began and not read_mapping(folder / RESULT) and not is_alive(folder)


def _may_be_open(folder: Path) -> bool:
    """Whether the folder may belong to a killed run; true if its files cannot be read."""
    try:
        return folder.is_dir() and _is_open(folder)
    except (OSError, GlocalError):
        return True


def _close(runs: Runs, folder: Path, say: Callable[[str], None]) -> None:
    begun, result = folder / BEGUN, folder / RESULT
    if (in_kubeflow := _kubeflow_run(folder)) and not _has_ended(in_kubeflow):
        return
    run_id = str(read_mapping(begun).get("run_id") or "")
    damaged = [file for file, read in ((begun, bool(run_id)), (result, False)) if _is_there(file) and not read]
    run_id = run_id or _id_by_folder(runs, folder)
    state = _end(runs, run_id) if run_id else "killed"
    write_json(result, {"status": state})
    for file in damaged:
        say(f"{file} is damaged. The run is recorded as {state}, and {result} was written anew; nothing else is to be done.")


def _end(runs: Runs, run_id: str) -> str:
    """Record the run as killed if its record says that it runs; returns its final state."""
    try:
        state = runs.run(run_id).state
        if state == "running":
            runs.kill(run_id)
    except NotFound:  # the database was lost or replaced, so no record says that the run is running
        return "killed"
    return "killed" if state == "running" else state


def _kubeflow_run(folder: Path) -> str:
    """Id in Kubeflow of the run that was begun from a folder; empty for a run on this machine."""
    return str(read_mapping(folder / BEGUN).get(KUBEFLOW_RUN) or "")


def _has_ended(kubeflow_run: str) -> bool:
    """Whether a run has ended in Kubeflow, which outlives the process that followed it. It is asked once in a while."""
    if time.monotonic() - _asked.get(kubeflow_run, -_ASKED_S) < _ASKED_S:
        return False
    _asked[kubeflow_run] = time.monotonic()
    from pipelines.kubeflow.connection import Connection  # KFP, which a home without such runs does not wait for
    from pipelines.kubeflow.runs import ENDED, look

    try:
        return look(Connection(Kubeflow()), kubeflow_run).state in ENDED
    except NotFound:  # it was deleted there
        return True
    except GlocalError:  # it is asked again later
        return False


def _id_by_folder(runs: Runs, folder: Path) -> str:
    """Id of the run whose record names this folder; empty if there is none."""
    return next((run.id for run in runs.runs(_SEARCHED) if run.folder == str(folder)), "")


def _is_there(file: Path) -> bool:
    return file.exists() or file.is_symlink()

"""Cancelling a run, however it was started: it ends as by Ctrl-C, what is finished is kept, and who asked for it is recorded."""

from model.environment import Environment
from model.errors import Conflict, NotFound, Unavailable
from model.schemas.run_record import RunRecord
from pipelines.queue.orders import cancel, order_state
from pipelines.run_folder import RunFolder
from serving.processes import wait_until


def cancel_run(environment: Environment, record: RunRecord, by: str, *, wait_s: float = 0.0) -> None:
    """Let a run end: one of the queue by its worker, any other one by its own process, which looks for that in its folder.

    Args:
        environment: The home.
        record: The run.
        by: Name of who cancels it, which is recorded.
        wait_s: Seconds to wait for its end. 0: none; it is still running when this returns.

    Raises:
        NotFound: Its folder is not on this machine.
        Conflict: It has ended.
        Unavailable: It did not end in time.
    """
    if record.order:
        cancel(environment, record.order, by, wait_s=wait_s)
        return
    folder = RunFolder.of(record, environment.home)
    if folder is None:
        raise NotFound(f"The folder of {record.name} is not on this machine.", "End it where it was started, by Ctrl-C.")
    if not folder.is_alive:
        raise Conflict(f"{record.name} has ended: {folder.state}.", "glocal runs shows what runs.")
    folder.cancel(by)
    if wait_s and not wait_until(lambda: not folder.is_alive, deadline_s=wait_s):
        raise Unavailable(f"{record.name} is asked to end and has not done so yet.", f"See {folder.root / 'run.log'}.")


def cancelled_by(environment: Environment, record: RunRecord) -> str:
    """Name of who asked for the end of a run; empty if nobody did, or that is not known on this machine."""
    if record.order:
        try:
            return order_state(environment, record.order).cancelled_by
        except NotFound:
            return ""
    folder = RunFolder.of(record, environment.home)
    cancelled = folder.cancelled if folder else None
    return cancelled.by if cancelled else ""

"""A training in this process, or in several on this machine, which torchrun's own launcher starts and watches.

If one of them dies, as at the hands of a system without memory, all are started again and go on after the last step on record.
"""

import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from model.errors import GlocalError, InvalidInput, Terminated
from model.progress import Progress
from model.schemas.train_report import TrainReport, read_training
from model.scratch import scratch_folder
from model.training.epochs import RESUMES
from model.training.order import ORDER, TrainOrder, carry_out, failure_of, followed

RESTARTS = 3
"""Times that the processes of one training are started again."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOG = logging.getLogger(__name__)


def launch(order: TrainOrder, progress: Progress | None = None) -> TrainReport:
    """Train as ordered, in as many processes as `train.processes` says; in this one alone it is a call of `train`.

    A process that torchrun or the like started already takes part in their training.

    Args:
        order: What is trained.
        progress: Called for every cached batch and with every sentence of the log.

    Raises:
        InvalidInput: Several machines are asked for, or see `train`.
        Diverged: See `train`.
        Terminated: SIGTERM arrived; the same call resumes.
        GlocalError: The processes died again and again.
    """
    if "WORLD_SIZE" in os.environ:
        return order.carry_out(progress)
    if order.train.nodes > 1:
        said = "train.nodes is for the pipeline on a cluster."
        raise InvalidInput(said, "Set train.nodes=1; or start torchrun --nnodes on every machine: see docs/operations.md.")
    processes = order.train.processes or max(1, torch.cuda.device_count())
    return order.carry_out(progress) if processes == 1 else _in_processes(order, processes, progress)


def _in_processes(order: TrainOrder, processes: int, progress: Progress | None) -> TrainReport:
    with scratch_folder("training") as folder, followed(folder, progress):
        order.save(folder / ORDER)
        for left in reversed(range(RESTARTS + 1)):
            if died := _run(folder, processes):
                _LOG.warning("%s", died)
                if left:
                    continue
                hint = "Memory is the usual reason: lower train.processes, train.chunk or model.image_size. " + RESUMES
                raise GlocalError(f"The processes of the training died {RESTARTS + 1} times: {died}", hint)
            break
    return read_training(order.out)


def _run(folder: Path, processes: int) -> str:
    """Carry out the order in a folder; returns how a process died, empty if none did.

    Raises:
        GlocalError: The error of a process.
        Terminated: SIGTERM arrived. Every process has written its checkpoint.
        KeyboardInterrupt: SIGINT arrived.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        signals_to_handle=",".join(each.name for each in _SIGNALS),
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )
    try:
        with _own_handlers():
            elastic_launch(config, carry_out)(folder)
    except SignalException as stopped:
        if stopped.sigval == signal.SIGINT:
            raise KeyboardInterrupt from stopped
        raise failure_of(folder) or Terminated("Stopped.", RESUMES) from stopped
    except ChildFailedError as failed:
        if known := failure_of(folder):
            raise known from failed
        rank, first = failed.get_first_failure()
        return f"process {rank} ended with {first.signal_name() if first.exitcode < 0 else f'code {first.exitcode}'}."
    return ""


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Give this process its handlers of signals back, which the launcher replaces. It does so in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

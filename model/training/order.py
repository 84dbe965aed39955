"""An order to train, in a folder that all its processes see; and what they leave there for the one who waits.

order.json       what is trained, and where the result goes
progress.jsonl   the progress, as the first process reports it
failure.json     the error, if there is no result
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import torch

from model.config import ModelConfig, TrainConfig
from model.disk import system_error
from model.errors import GlocalError, error_of_code
from model.files import read_json, write_json
from model.progress import Progress
from model.schemas.document import Document
from model.schemas.train_report import TrainReport
from model.training.train import train

ORDER, PROGRESS, FAILURE = "order.json", "progress.jsonl", "failure.json"
_PAUSE_S = 0.2


class TrainOrder(Document):
    """What is trained: the arguments of `model.training.train.train`.

    Attributes:
        format: Version of the file's format.
        dataset: Folder with a manifest.
        model: Settings of the network.
        train: Settings of the training.
        data_md5: Hash of the data.
        work: Folder of checkpoints, cached maps and images.
        out: Folder that receives the network and the report.
    """

    REMEDY: ClassVar[str] = "Start the training again."
    format: Literal[1] = 1
    dataset: Path
    model: ModelConfig
    train: TrainConfig
    data_md5: str
    work: Path
    out: Path

    def carry_out(self, progress: Progress | None) -> TrainReport:
        """Train, in this process or as one of those that torchrun started. Raises what `train` does."""
        return train(
            self.dataset, self.model, self.train, data_md5=self.data_md5, work=self.work, out=self.out, progress=progress
        )


def carry_out(folder: Path) -> None:
    """Do one process's part of the order in a folder.

    Raises:
        SystemExit: The training failed, with the exit code of the error. The first error is left in the folder.
    """
    share_processors()
    try:
        TrainOrder.load(folder / ORDER).carry_out(_writer(folder / PROGRESS))
    except (GlocalError, OSError) as error:
        known = error if isinstance(error, GlocalError) else system_error(error, folder, "") or GlocalError(str(error))
        if not (folder / FAILURE).exists():
            write_json(folder / FAILURE, {"code": known.code, "headline": known.headline, "hint": known.hint})
        raise SystemExit(known.exit_code) from error


def share_processors() -> None:
    """Leave every process of this machine its share of the processors, unless OMP_NUM_THREADS says how many each has."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def failure_of(folder: Path) -> GlocalError | None:
    """The error that a process left; None if none did."""
    if not (folder / FAILURE).is_file():
        return None
    left = read_json(folder / FAILURE)
    return error_of_code(left["code"], left["headline"], left["hint"])


@contextmanager
def followed(folder: Path, progress: Progress | None) -> Iterator[None]:
    """Report the progress of the order in a folder, until the block ends."""
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(folder / PROGRESS, progress, ended), daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow(file: Path, progress: Progress | None, ended: threading.Event) -> None:
    offset, last = 0, False
    while not last:
        last = ended.wait(_PAUSE_S)
        if not file.is_file():
            continue
        with file.open("rb") as lines:
            lines.seek(offset)
            read = lines.read()
        whole = read[: read.rfind(b"\n") + 1]  # the last line may be incomplete
        offset += len(whole)
        for line in whole.splitlines():
            if progress:
                progress(*json.loads(line))


def _writer(file: Path) -> Progress:
    """A function that writes progress to a file, a line each time. `train` calls it in the first process alone."""

    def write(done: int, total: int, what: str) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([done, total, what]) + "\n")

    return write

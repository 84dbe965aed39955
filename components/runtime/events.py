"""The events of a run: the messages of its steps, as lines of a file in the run's folder.

The file outlives the run. A reader continues at its last offset. The output of steps is not read, so none of it can be
mistaken for an event.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from model.schemas.run_event import RunEvent

FILE = "events.jsonl"
_PAUSE_S = 0.1
_log = logging.getLogger(__name__)


def emit(folder: Path | None, event: RunEvent) -> None:
    """Append an event to the file in a run's folder; nothing happens without a folder."""
    if folder is None:
        return
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, event.to_line())  # one write: two steps that write at once do not mix
    finally:
        os.close(descriptor)


def read_events(folder: Path, offset: int = 0) -> tuple[list[RunEvent], int]:
    """The events after a byte offset, and the offset after them. An incomplete line is left for the next call."""
    try:
        with (folder / FILE).open("rb") as file:
            offset = file.seek(min(offset, os.fstat(file.fileno()).st_size))
            data = file.read()
    except (FileNotFoundError, IsADirectoryError):
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return parse_events(whole), offset + len(whole)


def parse_events(lines: bytes) -> list[RunEvent]:
    """The events of some lines; a line that is none is left out."""
    return [event for line in lines.splitlines() if (event := _parse(line))]


def follow(folder: Path, ended: Callable[[], bool]) -> Iterator[RunEvent]:
    """Yield the events as they come, until `ended` says so and all of them are read."""
    offset = 0
    while True:
        last = ended()  # asked first, so that all events written before the end are read
        events, offset = read_events(folder, offset)
        yield from events
        if last:
            return
        if not events:
            time.sleep(_PAUSE_S)


def _parse(line: bytes) -> RunEvent | None:
    try:
        return RunEvent.model_validate_json(line)
    except ValidationError:
        _log.warning("A line of %s is no event: %r", FILE, line[:200])
        return None

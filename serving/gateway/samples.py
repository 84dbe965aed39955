"""A share of the queried images, with their answers, for whoever looks into drift. None is kept unless it is set."""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import GlocalError
from model.files import atomic_file, write_json
from serving.operations.query import Query

MOST = 1000
"""Maximum samples that are kept; the oldest goes first."""
_AT_ONCE = 4
_log = logging.getLogger("glocal.gateway")


class Samples:
    """The folder of samples: NUMBER.json with the operation, its options and the answer; NUMBER-1.image, NUMBER-2.image as sent.

    They are written in threads, and none while `_AT_ONCE` are being written, so that no caller waits for them.

    Args:
        folder: The folder; it is made with the first sample.
        share: Share of the queries that are kept, from 0 to 1.
    """

    def __init__(self, folder: Path, share: float) -> None:
        self._folder, self._share = folder, share
        self._writing: set[asyncio.Future[None]] = set()

    def note(self, queries: Sequence[Query | GlocalError], answers: Sequence[Mapping[str, Any] | GlocalError]) -> None:
        """Keep some of the queries that were answered."""
        for query, answer in zip(queries, answers, strict=True):
            is_chosen = self._share > 0 and random.random() < self._share
            if is_chosen and len(self._writing) < _AT_ONCE and isinstance(query, Query) and not isinstance(answer, GlocalError):
                writing = asyncio.ensure_future(asyncio.to_thread(self._write, query, answer))
                self._writing.add(writing)
                writing.add_done_callback(self._writing.discard)

    async def finish(self) -> None:
        """Wait for the samples that are being written."""
        await asyncio.gather(*self._writing)

    def _write(self, query: Query, answer: Mapping[str, Any]) -> None:
        number = f"{time.time_ns():020}"
        said = {"operation": query.operation.name, "options": query.options.model_dump(mode="json"), "answer": dict(answer)}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for place, image in enumerate(query.images, 1):
                with atomic_file(self._folder / f"{number}-{place}.image", mode=0o600) as partial:
                    partial.write_bytes(image)
            write_json(self._folder / f"{number}.json", said, mode=0o600)  # last: a sample is whole once it is there
            for old in sorted(self._folder.glob("*.json"))[:-MOST]:
                for file in (old, *self._folder.glob(f"{old.stem}-*.image")):
                    file.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("A sample could not be kept: %s", error)

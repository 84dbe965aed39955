"""The engine in a worker of any server of models: bounded in memory, it answers blocks of queries."""

import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.errors import GlocalError, InvalidInput
from model.imports import quick_imports
from serving.engine.engine import Engine
from serving.operations.envelope import pack_answers, unpack
from serving.operations.query import Query
from serving.processes import limit_memory

_log = logging.getLogger(__name__)


class Worker:
    """A release, loaded in a process that is bounded in memory from then on.

    Args:
        release_folder: Folder of the release.
        version: Version of the registered model, for the answers.

    Raises:
        NotFound, InvalidInput: See `Engine`.
    """

    def __init__(self, release_folder: Path, version: str) -> None:
        limit_memory()
        with quick_imports():
            self.engine = Engine(release_folder, version=version)
        gc.freeze()  # what was loaded stays: to look through it takes a tenth of a second, in which no query is answered

    def answer(self, blocks: Sequence[object]) -> list[bytes | InvalidInput]:
        """The packed answers to each block of queries, or the error of what is no such block.

        All queries go through the network together.
        """
        asked = [_unpacked(block) for block in blocks]
        answers = iter(self._answers([query for each in asked if isinstance(each, list) for query in each]))
        return [pack_answers([next(answers) for _ in each]) if isinstance(each, list) else each for each in asked]

    def _answers(self, queries: list[Query]) -> list[dict[str, Any] | GlocalError]:
        """The answers. A query at which the engine fails, by a fault of ours or for want of memory, fails alone."""
        try:
            return self.engine.answers(queries)
        except Exception:
            _log.exception("%d queries failed.", len(queries))
        if len(queries) > 1:
            return [answer for query in queries for answer in self._answers([query])]
        return [GlocalError("The query could not be answered.", "See the model's log.")] * len(queries)


def _unpacked(block: object) -> list[Query] | InvalidInput:
    try:
        return unpack(bytes(block)) if isinstance(block, bytes | bytearray) else InvalidInput("There is no block of queries.")
    except GlocalError as error:
        return InvalidInput(error.headline, error.hint)

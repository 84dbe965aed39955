"""The adapter between TorchServe and the engine. This file is copied into every archive.

    POST /predictions/<name>/<version>     a block of queries as the body (serving/operations/envelope.py)

The answer is a 200 with the answers to the queries, of which each may be an error; a 400 for what is no such block.
"""

import logging
from pathlib import Path
from typing import Any

from model.errors import GlocalError, InvalidInput
from serving.engine.engine import Engine
from serving.operations.envelope import pack_answers, unpack
from serving.operations.query import Query
from serving.protocol import RELEASE

_log = logging.getLogger(__name__)


class Handler:
    """The class that TorchServe uses: `initialize` is called once in every worker, then `handle` for every batch.

    TorchServe looks for the only class of this module, so there must not be a second class.
    """

    def initialize(self, context: Any) -> None:
        """Load the release in the archive. An error keeps the worker from serving."""
        folder = Path(context.system_properties["model_dir"]) / RELEASE
        self.engine = Engine(folder, version=context.manifest["model"]["modelVersion"])
        logging.getLogger().setLevel(logging.WARNING)  # TorchServe's worker writes several lines for each query to Java

    def handle(self, batch: list[dict[str, Any]], context: Any) -> list[bytes]:
        """The packed answers to each block of queries; all queries go through the network together."""
        blocks = [_unpacked(item) for item in batch]
        answers = iter(self._answers([query for block in blocks if isinstance(block, list) for query in block]))
        packed = []
        for index, block in enumerate(blocks):
            context.set_response_content_type(index, "application/json")
            if isinstance(block, InvalidInput):
                context.set_response_status(code=400, idx=index)
                packed.append(pack_answers([block]))
            else:
                packed.append(pack_answers([next(answers) for _ in block]))
        return packed

    def _answers(self, queries: list[Query]) -> list[dict[str, Any] | GlocalError]:
        """The answers. A query at which the engine fails, by a fault of ours, fails alone."""
        try:
            return self.engine.answers(queries)
        except Exception:
            _log.exception("%d queries failed.", len(queries))
        if len(queries) > 1:
            return [answer for query in queries for answer in self._answers([query])]
        return [GlocalError("The query could not be answered.", "See the model's log.")] * len(queries)


def _unpacked(item: dict[str, Any]) -> list[Query] | InvalidInput:
    body = item.get("body")
    try:
        return unpack(bytes(body)) if isinstance(body, bytes | bytearray) else InvalidInput("There is no block of queries.")
    except GlocalError as error:
        return InvalidInput(error.headline, error.hint)

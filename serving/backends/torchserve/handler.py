"""The adapter between TorchServe and the engine. This file is copied into every archive.

    POST /predictions/<name>/<version>     a block of queries as the body (serving/operations/envelope.py)

The answer is a 200 with the answers to the queries, of which each may be an error; a 400 for what is no such block.
"""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from model.errors import InvalidInput
from model.imports import without_compiler
from serving.operations.envelope import pack_answers
from serving.protocol import RELEASE


class Handler:
    """The class that TorchServe uses: `initialize` is called once in every worker, then `handle` for every batch.

    TorchServe looks for the only class of this module, so there must not be a second class.
    """

    def initialize(self, context: Any) -> None:
        """Load the release in the archive. An error keeps the worker from serving."""
        with without_compiler():
            from serving.engine.worker import Worker

        folder = Path(context.system_properties["model_dir"]) / RELEASE
        self.worker = Worker(folder, context.manifest["model"]["modelVersion"])
        context.metrics = SimpleNamespace(request_ids={}, add_time=lambda *_: None)  # of each query; the gateway has its own
        logging.getLogger().setLevel(logging.WARNING)  # TorchServe's worker writes several lines for each query to Java

    def handle(self, batch: list[dict[str, Any]], context: Any) -> list[bytes]:
        """The packed answers to each block of queries."""
        packed = []
        for index, answers in enumerate(self.worker.answer([item.get("body") for item in batch])):
            context.set_response_content_type(index, "application/json")
            if isinstance(answers, InvalidInput):
                context.set_response_status(code=400, idx=index)
                packed.append(pack_answers([answers]))
            else:
                packed.append(answers)
        return packed

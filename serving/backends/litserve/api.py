"""The engine as LitServe's workers have it."""

import os
from pathlib import Path
from typing import Annotated

import litserve
from fastapi import Depends, Request, Response

from model.errors import InvalidInput
from model.imports import without_compiler
from serving.backends.litserve.process import Place
from serving.operations.envelope import pack_answers


async def _body(request: Request) -> bytes:
    return await request.body()


class EngineApi(litserve.LitAPI):  # type: ignore[misc] # it has no types
    """Blocks of queries in, packed answers out: a 200, or a 400 for what is no such block.

    Args:
        root: Folder of the loaded version.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._place = Place(root)

    def setup(self, device: str) -> None:
        """Load the release, once in every worker. An error keeps the worker from serving."""
        with without_compiler():
            from serving.engine.worker import Worker  # torch, which LitServe's own process does without

        try:
            self._worker = Worker(self._place.release, self._place.version)
        except BaseException:
            self._place.note("failed", os.getpid()).touch()
            raise
        self._place.note("worker", os.getpid()).touch()

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> bytes:  # LitServe reads the body as this type says
        """The block of queries."""
        return request

    def predict(self, block: bytes) -> bytes | InvalidInput:
        """The packed answers to a block of queries."""
        (answers,) = self._worker.answer([block])
        return answers

    def encode_response(self, output: bytes | InvalidInput) -> Response:
        """The answer as it is sent."""
        if isinstance(output, InvalidInput):
            return Response(pack_answers([output]), 400, media_type="application/json")
        return Response(output, media_type="application/json")

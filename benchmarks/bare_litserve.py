"""The engine under LitServe and nothing else, for comparison: `python -m benchmarks.bare_litserve RELEASE PORT WORKERS`."""

import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

from model.errors import GlocalError
from serving.engine.engine import Engine
from serving.operations.query import Query, make_query
from serving.protocol import LOOPBACK


class SearchApi(litserve.LitAPI):  # type: ignore[misc] # it has no types
    """A search for the image in the field `image` of a form."""

    def setup(self, device: str) -> None:
        """Load the release."""
        self._engine = Engine(Path(sys.argv[1]))

    def decode_request(self, request: Request) -> Query:  # by this type LitServe knows that a form may come
        """The query."""
        form: Any = request
        return make_query("search", [form["image"].file.read()])

    def predict(self, query: Query) -> Any:
        """The answer."""
        return self._engine.answer(query)

    def encode_response(self, output: Any) -> Any:
        """The answer as JSON, or what went wrong."""
        return {"error": str(output)} if isinstance(output, GlocalError) else output


if __name__ == "__main__":
    server = litserve.LitServer(SearchApi(), accelerator="cpu", workers_per_device=int(sys.argv[3]))
    server.run(host=LOOPBACK, port=int(sys.argv[2]), generate_client_file=False, log_level="warning")

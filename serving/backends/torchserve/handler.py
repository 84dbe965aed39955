"""The adapter between TorchServe and the engine. This file is copied into every archive.

    POST /predictions/<name>[/<version>]     the image's bytes as the body, application/octet-stream;
                                             the number of neighbours in the header Glocal-K

The answer is a 200 with the result of `Engine.search`, or a 4xx with `{"error": ..., "hint": ...}`. A bad item of a batch
fails alone.
"""

import json
import logging
from pathlib import Path
from typing import Any

from model.errors import GlocalError, InvalidInput
from serving.engine.engine import Engine
from serving.limits import MAX_BYTES
from serving.protocol import K_HEADER, MAX_DIGITS, RELEASE

DEFAULT_K = 5

_log = logging.getLogger(__name__)


class Handler:
    """The class that TorchServe uses: `initialize` is called once in every worker, then `handle` for every batch.

    TorchServe looks for the only class of this module, so there must not be a second class.
    """

    def initialize(self, context: Any) -> None:
        """Load the release in the archive. An error keeps the worker from serving."""
        folder = Path(context.system_properties["model_dir"]) / RELEASE
        self.engine = Engine(folder, version=context.manifest["model"]["modelVersion"])

    def handle(self, batch: list[dict[str, Any]], context: Any) -> list[str]:
        """The answers as JSON texts, in the order of the items; every item has its own status."""
        try:
            answers = self._answers([_parse(item, context.get_all_request_header(index)) for index, item in enumerate(batch)])
        except Exception:
            _log.exception("A batch failed.")
            answers = [GlocalError("The query could not be answered.", "See the model's log.")] * len(batch)
        texts = []
        for index, answer in enumerate(answers):
            if isinstance(answer, GlocalError):
                context.set_response_status(code=answer.http_status, idx=index)
                answer = {"error": answer.headline, "hint": answer.hint}  # noqa: PLW2901 # the part that is sent
            context.set_response_content_type(index, "application/json")
            texts.append(json.dumps(answer))
        return texts

    def _answers(self, queries: list[tuple[bytes, int] | GlocalError]) -> list[dict[str, Any] | GlocalError]:
        answers = iter(self.engine.search_many([query for query in queries if isinstance(query, tuple)]))
        return [next(answers) if isinstance(query, tuple) else query for query in queries]


def _parse(item: dict[str, Any], headers: dict[str, Any]) -> tuple[bytes, int] | GlocalError:
    named = {name.lower(): str(value) for name, value in headers.items()}
    body = _body(item, named.get("content-type", ""))
    if isinstance(body, GlocalError):
        return body
    if not body:  # TorchServe does not say whether this was a GET
        return InvalidInput("The image is empty.", "Send its bytes as the body of a POST.")
    if len(body) > MAX_BYTES:
        return _refusal(413, f"The image has more than {MAX_BYTES} bytes.")
    k = named.get(K_HEADER.lower(), str(DEFAULT_K))
    if not (k.isascii() and k.isdigit() and len(k) <= MAX_DIGITS and int(k) > 0):
        return InvalidInput("k must be a whole number of at least 1.")
    return bytes(body), int(k)


def _body(item: dict[str, Any], content_type: str) -> bytes | GlocalError:
    """The image's bytes: the body itself, or the only field of a multipart form. TorchServe takes forms apart."""
    form = content_type.lower().startswith("application/x-www-form-urlencoded")
    values = [item["body"]] if "body" in item else list(item.values())
    if form or len(values) != 1 or not isinstance(values[0], str | bytes | bytearray):
        return _refusal(415, "A form is no image.", "Send the image's bytes as the body, as application/octet-stream.")
    (value,) = values
    return value.encode() if isinstance(value, str) else bytes(value)


def _refusal(status: int, headline: str, hint: str = "") -> GlocalError:
    error = InvalidInput(headline, hint)
    error.http_status = status
    return error

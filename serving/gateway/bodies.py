"""The body of a request becomes queries: raw bytes, a form, or JSON with base64. Everything is counted before it is decoded."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from python_multipart.multipart import parse_options_header

from model.errors import GlocalError, InvalidInput, TooLarge, Unsupported
from serving.gateway.forms import parse_form
from serving.limits import MAX_BYTES
from serving.operations import Operation
from serving.operations.query import Query, make_query

MAX_QUERIES = 16
"""Maximum queries of one request."""
MAX_FIELD = 4096
"""Maximum bytes of a field of a form that is no image."""
MAX_VALUES = 4096
"""Maximum values in JSON, counted before it is parsed: each takes many times the memory of its text."""
IMAGE, IMAGES = "image", "images"
"""Names of the image of one query, and of those of several queries, in a form or in JSON."""
_HINT = "Send the image's bytes as the body, a form with the field image, or JSON with the image in base64."


class Asked(NamedTuple):
    """The queries of a request.

    Attributes:
        queries: A query or its error for each item.
        is_batch: Whether they are the items of a batch, each with an answer or an error of its own.
    """

    queries: list[Query | GlocalError]
    is_batch: bool


def parse_body(operation: Operation[Any], content_type: str, body: bytes, options: Mapping[str, str]) -> Asked:
    """The queries of a request.

    Args:
        operation: What is asked.
        content_type: The header of that name.
        body: The whole body, within the limit of a request.
        options: Options from the address.

    Raises:
        Unsupported: A content type that is not understood.
        TooLarge: More queries, parts of a form, or bytes in one of them than are accepted.
        InvalidInput: No image, or a form or JSON that cannot be read.
    """
    kind, _ = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        fields = parse_form(body, content_type)
        images = {name: [content for key, content in fields if key == name] for name in (IMAGE, IMAGES)}
        named = {name: _text(name, content) for name, content in fields if name not in images}
        return _asked(operation, images, {**options, **named})
    if kind == b"application/json":
        return _parse_json(operation, body, options)
    if kind.startswith(b"image/") or kind in {b"", b"application/octet-stream"}:
        return _asked(operation, {IMAGE: [body] if body else [], IMAGES: []}, options)
    raise Unsupported(f"A body of type {kind.decode('latin-1')[:60]!r} is not understood.", _HINT)


def _asked(operation: Operation[Any], images: Mapping[str, Sequence[bytes]], options: Mapping[str, Any]) -> Asked:
    """One query of the images named `image`, or a batch of those named `images`, all with the same options."""
    one, several = images[IMAGE], images[IMAGES]
    if one and several:
        raise InvalidInput(f"A request has images named {IMAGE!r} or {IMAGES!r}, not both.", _HINT)
    if several:
        groups = [several[at : at + operation.images] for at in range(0, len(several), operation.images)]
        return _batch(operation, [(group, options) for group in groups])
    if not one:
        raise InvalidInput("There is no image.", _HINT)
    _refuse_large(one)
    return Asked([make_query(operation.name, one, options)], is_batch=False)


def _batch(operation: Operation[Any], items: Sequence[tuple[Sequence[bytes], Mapping[str, Any]]]) -> Asked:
    if len(items) > MAX_QUERIES:
        raise TooLarge(f"A request has at most {MAX_QUERIES} queries, not {len(items)}.", "Send several requests.")
    return Asked([_query_or_error(operation, *item) for item in items], is_batch=True)


def _query_or_error(operation: Operation[Any], images: Sequence[bytes], options: Mapping[str, Any]) -> Query | GlocalError:
    try:
        _refuse_large(images)
        return make_query(operation.name, images, options)
    except GlocalError as error:
        return error


def _refuse_large(images: Iterable[bytes]) -> None:
    if any(len(image) > MAX_BYTES for image in images):
        raise TooLarge(f"An image has more than {MAX_BYTES} bytes.", "Send a smaller one.")


def _parse_json(operation: Operation[Any], body: bytes, options: Mapping[str, str]) -> Asked:
    """A query is an object with `image` (base64, or a list of them) and `options`; a batch has a list of queries in `queries`."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise TooLarge(f"The JSON of a request has at most {MAX_VALUES} values.", "Send several requests.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput("The body is no JSON.", _HINT) from error
    if isinstance(value, dict) and set(value) == {"queries"} and isinstance(value["queries"], list):
        if len(value["queries"]) > MAX_QUERIES:
            raise TooLarge(f"A request has at most {MAX_QUERIES} queries.", "Send several requests.")
        return Asked([_json_or_error(operation, each, options) for each in value["queries"]], is_batch=True)
    return Asked([_json_query(operation, value, options)], is_batch=False)


def _json_or_error(operation: Operation[Any], value: Any, options: Mapping[str, str]) -> Query | GlocalError:
    try:
        return _json_query(operation, value, options)
    except GlocalError as error:
        return error


def _json_query(operation: Operation[Any], value: Any, options: Mapping[str, str]) -> Query:
    """A query from an object. Base64 of more text than an image may have is refused before it is decoded."""
    if not isinstance(value, dict) or not {IMAGE} <= value.keys() <= {IMAGE, "options"}:
        raise InvalidInput("A query is an object with image and options.", '{"image": "<base64>", "options": {}}')
    given = value[IMAGE] if isinstance(value[IMAGE], list) else [value[IMAGE]]
    named = value.get("options", {})
    if not isinstance(named, dict):
        raise InvalidInput("The options of a query are an object.")
    if len(given) > operation.images:
        raise InvalidInput(f"{operation.name} needs {operation.images} of image, not {len(given)}.")
    images = [_decoded(text) for text in given]
    _refuse_large(images)
    return make_query(operation.name, images, {**options, **named})


def _decoded(text: Any) -> bytes:
    if isinstance(text, str) and len(text) > 4 * (MAX_BYTES // 3 + 2):
        raise TooLarge(f"An image has more than {MAX_BYTES} bytes.", "Send a smaller one.")
    try:
        return base64.b64decode(text if isinstance(text, str) else None, validate=True)  # type: ignore[arg-type] # None is refused
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidInput("An image is no base64.", "Encode its bytes by RFC 4648, without line breaks.") from error


def _text(name: str, content: bytes) -> str:
    if len(content) > MAX_FIELD:
        raise TooLarge(f"The field {name[:60]!r} has more than {MAX_FIELD} bytes.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The field {name[:60]!r} is no UTF-8.") from error

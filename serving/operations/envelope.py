"""What the gateway sends to a worker: queries in one block of bytes, so that nothing of a client's framing reaches the worker.

Answers come back as JSON: for each query `{"answer": ...}` or `{"error": {"code", "headline", "hint"}}`.

4 bytes    length of the head, big-endian
head       JSON: a list of {"operation", "options", "images": [size of each image in bytes]}
rest       the images, one after the other
"""

import struct
from collections.abc import Sequence
from typing import Any

import orjson

from model.errors import GlocalError, InvalidInput, error_of_code
from serving.operations.query import Query, make_query

MAX_HEAD = 2**20
"""Maximum bytes of the head."""
_LENGTH = struct.Struct(">I")


def pack(queries: Sequence[Query]) -> bytes:
    """Queries as one block of bytes."""
    head = orjson.dumps(
        [
            {
                "operation": query.operation.name,
                "options": query.options.model_dump(mode="json"),
                "images": [len(image) for image in query.images],
            }
            for query in queries
        ]
    )
    return b"".join([_LENGTH.pack(len(head)), head, *(image for query in queries for image in query.images)])


def unpack(block: bytes) -> list[Query]:
    """The queries of a block that `pack` made.

    Raises:
        InvalidInput: The block is none, or its sizes do not add up to its length.
    """
    try:
        (length,) = _LENGTH.unpack_from(block)
        if length > MAX_HEAD:
            raise ValueError("head")
        at, queries = _LENGTH.size + length, []
        for each in orjson.loads(block[_LENGTH.size : at]):
            images = []
            for size in each["images"]:
                if size < 0 or at + size > len(block):
                    raise ValueError("size")
                images.append(block[at : at + size])
                at += size
            queries.append(_query(each, images))
        if at != len(block):
            raise ValueError("length")
    except (ValueError, TypeError, KeyError, struct.error) as error:
        raise InvalidInput("This is no block of queries.") from error
    return queries


def _query(described: dict[str, Any], images: Sequence[bytes]) -> Query:
    return make_query(described["operation"], images, described["options"])


def pack_answers(answers: Sequence[dict[str, Any] | GlocalError]) -> bytes:
    """The answers to the queries of a block, in their order."""
    return orjson.dumps([_packed(answer) for answer in answers])


def unpack_answers(block: bytes, count: int) -> list[dict[str, Any] | GlocalError]:
    """The answers that `pack_answers` made.

    Args:
        block: The bytes.
        count: Number of queries that were asked.

    Raises:
        ValueError: These are no answers, or another number of them.
    """
    answers = orjson.loads(block)
    if not isinstance(answers, list) or len(answers) != count:
        raise ValueError(f"{count} answers expected")
    try:
        return [each["answer"] if "answer" in each else error_of_code(**each["error"]) for each in answers]
    except (TypeError, KeyError) as error:
        raise ValueError("no answers") from error


def _packed(answer: dict[str, Any] | GlocalError) -> dict[str, Any]:
    if isinstance(answer, GlocalError):
        return {"error": {"code": answer.code, "headline": answer.headline, "hint": answer.hint}}
    return {"answer": answer}

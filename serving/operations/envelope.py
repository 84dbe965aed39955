"""What the gateway sends to a worker: queries in one block of bytes, so that nothing of a client's framing reaches the worker.

4 bytes    length of the head, big-endian
head       JSON: a list of {"operation", "options", "images": [size of each image in bytes]}
rest       the images, one after the other
"""

import json
import struct
from collections.abc import Sequence
from typing import Any

from model.errors import InvalidInput
from serving.operations.query import Query, make_query

MAX_HEAD = 2**20
"""Maximum bytes of the head."""
_LENGTH = struct.Struct(">I")


def pack(queries: Sequence[Query]) -> bytes:
    """Queries as one block of bytes."""
    head = json.dumps(
        [
            {
                "operation": query.operation.name,
                "options": query.options.model_dump(mode="json"),
                "images": [len(image) for image in query.images],
            }
            for query in queries
        ]
    ).encode()
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
        for each in json.loads(block[_LENGTH.size : at]):
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

"""A query to the engine: an operation, its images, its options."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from model.errors import InvalidInput, NotFound
from model.schemas.schema import Schema
from serving.operations import OPERATIONS, Operation


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        operation: What is asked.
        images: The encoded images, as many as the operation needs.
        options: Its options.
    """

    operation: Operation[Any]
    images: tuple[bytes, ...]
    options: Schema


def size_of(queries: Iterable[Query]) -> int:
    """Bytes of the images of queries."""
    return sum(len(image) for query in queries for image in query.images)


def make_query(operation: str, images: Sequence[bytes], options: Mapping[str, Any] | None = None) -> Query:
    """A query from its parts as a client named them.

    Raises:
        NotFound: There is no such operation.
        InvalidInput: It has another number of images, or other options; the message names the first that is wrong.
    """
    if operation not in OPERATIONS:
        raise NotFound(f"There is no operation {operation!r}.", f"Operations: {', '.join(OPERATIONS)}.")
    asked = OPERATIONS[operation]
    if len(images) != asked.images:
        raise InvalidInput(f"{operation} needs {asked.images} image{'s' * (asked.images > 1)}, not {len(images)}.")
    try:
        return Query(asked, tuple(images), asked.options.model_validate(dict(options or {})))
    except ValidationError as error:
        raise InvalidInput(*_explained(operation, asked, error)) from error


def _explained(operation: str, asked: Operation[Any], error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:100]
    known = ", ".join(asked.options.model_fields) or "none"
    if first["type"] == "extra_forbidden":
        return f"{operation} has no option {name!r}.", f"Options: {known}."
    return f"The option {name!r} of {operation} is not valid: {first['msg']}.", ""

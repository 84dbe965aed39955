"""Schemas that are stored as JSON files of their own, with the number of their format."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ValidationError

from model.errors import InvalidInput, NotFound
from model.files import write_text
from model.schemas.schema import Schema

S = TypeVar("S", bound=Schema)


class Document(Schema):
    """A file that states its format. A subclass sets `REMEDY` and a field `format` whose default is its number.

    Attributes:
        REMEDY: Hint for a file that is missing, damaged or of another format.
    """

    REMEDY: ClassVar[str] = "Run the pipeline again."
    format: int

    def save(self, path: Path) -> None:
        """Write to `path` atomically, in the order of the fields."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            NotFound: There is no such file.
            InvalidInput: The file is damaged or has another format; the message names it.
        """
        if not path.is_file():
            raise NotFound(f"There is no {path}.", cls.REMEDY)
        value, known = _object_in(path, cls.REMEDY), cls.model_fields["format"].default
        if value.get("format") != known:
            raise InvalidInput(
                f"{path} has format {str(value.get('format', 'none'))[:20]}, not {known}.",
                f"Use the version of glocal that wrote it. Or: {cls.REMEDY}",
            )
        return validated(cls, value, path, cls.REMEDY)

    @classmethod
    def load_if_there(cls, path: Path) -> Self | None:
        """`load`; None if there is no such file."""
        return cls.load(path) if path.is_file() else None


def read_schema(kind: type[S], path: Path, remedy: str) -> S:
    """Read a schema from a JSON file whose format another file states.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file is damaged; the message names it.
    """
    if not path.is_file():
        raise NotFound(f"There is no {path}.", remedy)
    return validated(kind, _object_in(path, remedy), path, remedy)


def validated(kind: type[S], value: Any, path: Path, remedy: str) -> S:
    """The schema that was read from `path`.

    Raises:
        InvalidInput: The value is not of this schema; the message names the file and the field.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path} is damaged: {field + ': ' if field else ''}{first['msg']}.", remedy) from error


def _object_in(path: Path, remedy: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is damaged: it cannot be read as JSON.", remedy) from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} is damaged: it holds no JSON object.", remedy)
    return value

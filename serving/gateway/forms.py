"""Forms (multipart/form-data, RFC 7578), taken apart within limits. Names of files are not read: they are never a path."""

from collections.abc import Callable
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from model.errors import InvalidInput, TooLarge

MAX_PARTS = 64
"""Maximum parts of a form. The parser itself allows 8 headers a part, of 4 KiB each."""


class _Parts:
    """The parts of a form while they are read: names and contents."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytearray]] = []
        self._field, self._value = bytearray(), bytearray()
        self._disposition = b""

    def callbacks(self, end: Callable[[], None]) -> Any:
        """The functions that the parser calls; the last of them at the end of a whole form."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": end,
            "on_part_data": lambda data, start, end: self.fields[-1][1].extend(data[start:end]),
        }

    def _begin(self) -> None:
        if len(self.fields) == MAX_PARTS:
            raise TooLarge(f"A form has at most {MAX_PARTS} parts.")
        self._disposition = b""

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        kind, parameters = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in parameters:
            raise InvalidInput("A part of the form has no name.", "Write it as RFC 7578 says.")
        self.fields.append((parameters[b"name"].decode("utf-8", "replace"), bytearray()))


def parse_form(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """The fields of a form, in order, as name and content.

    Raises:
        TooLarge: More parts than are accepted.
        InvalidInput: The form cannot be read, or ends too early.
    """
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if body.count(b"\n--" + boundary) > MAX_PARTS + 1:  # also within a part, where the parser would stop at each
        raise TooLarge(f"A form has at most {MAX_PARTS} parts.")
    parts, ended = _Parts(), list[bool]()
    try:
        parser = MultipartParser(boundary, parts.callbacks(lambda: ended.append(True)))
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise InvalidInput("The form cannot be read.", "Write it as RFC 7578 says.") from error
    if not boundary or not ended:
        raise InvalidInput("The form has no boundary, or ends before its last one.", "Write it as RFC 7578 says.")
    return [(name, bytes(content)) for name, content in parts.fields]

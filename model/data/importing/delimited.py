"""Delimited text files as rows, with their encoding and separator recognised and their defects explained."""

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model.errors import InvalidInput
from model.text import excerpt

LONGEST_FIELD = 16 * 2**20
"""Maximum characters of one value: masks and polygons in columns that are not read may be long."""
_SEPARATORS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*")
"""Line that some spreadsheets write above the header."""
_SAVE = "Save it as UTF-8 with commas, such as 'CSV UTF-8' in a spreadsheet."


def read_rows(table: Path, recognised: Callable[[Sequence[str]], int]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, with the number of the line on which it starts. The first row is the header.

    UTF-8 is read with and without a byte order mark, UTF-16 and UTF-32 with one. The separator is that of comma, semicolon,
    tab and bar which makes most column names of the header known.

    Args:
        table: The file.
        recognised: Function that counts the known names in a header.

    Raises:
        InvalidInput: The file is not text in such an encoding, or its quotes do not match; the message names the line.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    with table.open("rb") as binary:
        encoding = _encoding(binary.read(4))
    line = 0
    try:
        with table.open(newline="", encoding=encoding, errors="surrogateescape") as stream:
            separator, skipped = _separator(stream, recognised)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=separator, strict=True)
            for values in reader:
                line, begun = reader.line_num, line + 1
                if begun > skipped and any(value.strip() for value in values):
                    _check_text(values, table, begun)
                    yield begun, values
    except UnicodeError as error:
        raise InvalidInput(f"{_name(table)} is not whole: its {encoding.upper()} text ends early.", _SAVE) from error
    except csv.Error as error:
        raise _broken(table, line + 1, str(error)) from error


def _encoding(start: bytes) -> str:
    """The encoding that a file's first bytes announce."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8")


def _separator(lines: Iterator[str], recognised: Callable[[Sequence[str]], int]) -> tuple[str, int]:
    """The separator, and the number of the line that states it above the header; 0 where no line does."""
    for number, line in enumerate(lines, start=1):
        if stated := _SEPARATOR_LINE.fullmatch(line):
            return stated[1], number
        if line.strip():
            return max(_SEPARATORS, key=lambda separator: recognised(_split(line, separator))), 0
    return ",", 0


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _check_text(values: Sequence[str], table: Path, line: int) -> None:
    """Refuse a file if one of its values is no text."""
    for column, value in enumerate(values, start=1):
        if "\0" in value:
            hint = f"It may be UTF-16 without a byte order mark. {_SAVE}"
            raise InvalidInput(f"{_name(table)}, line {line}, column {column}: the value holds NUL bytes.", hint)
        if not value.isascii() and any("\udc80" <= character <= "\udcff" for character in value):
            hint = "It may be Latin-1 or Windows-1252; convert it with: iconv -f WINDOWS-1252 -t UTF-8"
            raise InvalidInput(f"{_name(table)}, line {line}, column {column}: '{excerpt(value)}' is not UTF-8.", hint)


def _broken(table: Path, line: int, error: str) -> InvalidInput:
    where = f"{_name(table)}, line {line}"
    close = 'Close the quote; a quote that belongs to a text is written twice ("").'
    if "unexpected end" in error:
        return InvalidInput(f"{where}: a quote is opened and never closed.", close)
    if "expected after" in error:
        return InvalidInput(f"{where}: text stands behind a closing quote.", close)
    if "field limit" in error:
        return InvalidInput(f"{where}: a value has more than {LONGEST_FIELD:,} characters; a quote may be left open.", close)
    return InvalidInput(f"{where} cannot be read: {error}.", _SAVE)


def _name(table: Path) -> str:
    return excerpt(str(table))

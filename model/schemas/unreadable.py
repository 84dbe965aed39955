"""What lies in a home and cannot be read, so that no list has it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from model.errors import GlocalError
from model.schemas.schema import Schema
from model.text import counted

T = TypeVar("T")
_NAMED = 3
"""Paths that are named, so that it stays a line."""


class Unreadable(Schema):
    """A folder or file that is damaged."""

    path: str = Field(description="Where it lies")
    why: str = Field(description="What is wrong with it")
    hint: str = Field("", description="What to do about it")


def read_or_note(read: Callable[[], T], path: Path, unreadable: list[Unreadable]) -> T | None:
    """What `read` returns; None where it raises that the path is damaged, which is noted."""
    try:
        return read()
    except GlocalError as error:
        unreadable.append(Unreadable(path=str(path), why=error.headline, hint=error.hint))
        return None


def unreadable_line(found: Sequence[Unreadable], noun: str) -> str:
    """How many cannot be read, and where they lie; empty if there are none."""
    if not found:
        return ""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{counted(len(found), noun)} cannot be read: {', '.join(each.path for each in found[:_NAMED])}{more}."

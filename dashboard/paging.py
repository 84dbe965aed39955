"""A long list, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Pages(Generic[T]):
    """One page of a list.

    Attributes:
        rows: What stands on the page.
        number: Number of the page, from 1.
        last: Number of the last page, at least 1.
        total: Number of rows on all pages.
    """

    rows: Sequence[T]
    number: int
    last: int
    total: int

    @classmethod
    def of(cls, rows: Sequence[T], number: int, size: int) -> "Pages[T]":
        """The page of a list; a number before the first or behind the last stands for that one.

        Args:
            rows: The whole list.
            number: Number of the page, from 1.
            size: Rows of one page.
        """
        last = max(1, -(-len(rows) // size))
        number = min(max(number, 1), last)
        return cls(rows[(number - 1) * size : number * size], number, last, len(rows))

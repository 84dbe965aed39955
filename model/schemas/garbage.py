"""What nothing in a home needs any more."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

GarbageKind = Literal["versions", "archives", "runs", "artifacts", "work", "datasets", "scratch"]


class GarbageItem(Schema):
    """A file or folder that may be removed."""

    kind: GarbageKind = Field(description="What it is; see docs/operations.md")
    path: str = Field(description="The file or folder")
    size: int = Field(ge=0, description="Bytes of its files")
    name: str = Field(description="What it is of, for people")


class Garbage(Schema):
    """What may be removed from a home, and what was not looked at."""

    items: tuple[GarbageItem, ...] = Field((), description="Files and folders that nothing needs")
    stays: tuple[str, ...] = Field((), description="Why whole kinds of files stay for now, in sentences")

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)

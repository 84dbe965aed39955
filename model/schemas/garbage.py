"""What nothing in a home needs any more."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

GarbageKind = Literal["versions", "archives", "runs", "orders", "artifacts", "work", "datasets", "collections", "scratch"]


class GarbageItem(Schema):
    """A file, a folder or a collection that may be removed."""

    kind: GarbageKind = Field(description="What it is; see docs/operations.md")
    path: str = Field(description="The file or folder, or the name of the collection in Milvus")
    size: int = Field(ge=0, description="Bytes of its files; 0 for a collection")
    name: str = Field(description="What it is of, for people")


class Garbage(Schema):
    """What may be removed from a home, and what was not looked at."""

    items: tuple[GarbageItem, ...] = Field((), description="What nothing needs")
    stays: tuple[str, ...] = Field((), description="Why whole kinds of files stay for now, in sentences")

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)

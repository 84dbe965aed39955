"""Golden queries: images that a release holds with the answers that it must give to them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from model.data.images import crop, decode_image, to_png
from model.data.manifest import Manifest
from model.files import write_json
from model.retrieval.retriever import Retriever, Wanted
from model.schemas.golden import GoldenQuery

GOLDEN_NEIGHBOURS = 5
"""Neighbours that are kept with a golden query."""


class QueryImage(NamedTuple):
    """An encoded image, and the suffix of its file."""

    data: bytes
    suffix: str


def query_image(manifest: Manifest, row: int) -> QueryImage:
    """The image of a sample as a query; a box is cut out."""
    source, box = manifest.folder / manifest.paths[row], manifest.box(row)
    data = source.read_bytes()
    if box is None:
        return QueryImage(data, source.suffix.lower())
    return QueryImage(to_png(crop(decode_image(data), box)), ".png")


def write_golden(folder: Path, images: Iterable[QueryImage], retriever: Retriever) -> None:
    """Write images into a new folder, each with the answers of a release.

    Args:
        folder: The folder.
        images: The images.
        retriever: The network over the gallery of the release. Its answers must not depend on the time.
    """
    folder.mkdir()
    answers: list[GoldenQuery] = []
    for number, (data, suffix) in enumerate(images):
        file = f"{number}{suffix}"
        (folder / file).write_bytes(data)
        embedded = retriever.forward([decode_image(data)])
        (found,), (vector,) = retriever.find(embedded, [Wanted(GOLDEN_NEIGHBOURS)]), embedded.vectors
        answers.append(GoldenQuery(file=file, neighbours=tuple(found.neighbours), embedding=tuple(map(float, vector.round(7)))))
    write_json(folder / "answers.json", [answer.model_dump(mode="json", exclude_none=True) for answer in answers])

"""Embed: the embedding of an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from model.schemas.schema import Schema
from serving.operations.operation import Answer, Operation, SeenImage

if TYPE_CHECKING:
    from model.release import Release


class EmbedOptions(Schema):
    """Options of `embed`: none."""


class EmbedAnswer(Answer):
    """The embedding of an image."""

    embedding: tuple[float, ...] = Field(description="The merged embedding, of length 1: cosines are sums of products")


class Embed(Operation[EmbedOptions]):
    """The embedding of an image."""

    name = "embed"
    options = EmbedOptions
    answer = EmbedAnswer

    def respond(self, release: "Release", images: Sequence[SeenImage], options: EmbedOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        (image,) = images
        return {"embedding": [] if image.vector is None else [round(float(value), 7) for value in image.vector]}

"""What the five operations of a release have in common: their options, their answers, and how they are asked of the engine."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import Field

from model.schemas.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from model.release import Release
    from model.retrieval.gallery import Gallery
    from model.retrieval.local_features import LocalFeatures
    from model.retrieval.retriever import Found, Wanted
    from model.schemas.golden import Neighbour

Options = TypeVar("Options", bound=Schema)


class Answer(Schema):
    """What every answer says about the model that gave it."""

    release: str = Field(description="Id of the release: a hash of all its bytes")
    embedding_space_id: str = Field(description="Id of weights and preprocessing; scores of two spaces must not be compared")
    model_version: str | None = Field(None, description="Version of the registered model")


@dataclass(frozen=True)
class SeenImage:
    """One image of a query after the passes that its operation needs.

    Attributes:
        image: (3, H, W) uint8, upright.
        vector: (D,) float32, L2-normalised; None if the operation needs no embedding.
        found: What the search found; None if the operation wants nothing of the gallery.
        features: Local features; None if the operation wants none, or the release does not re-rank by them.
    """

    image: "Tensor"
    vector: "NDArray[np.float32] | None" = None
    found: "Found | None" = None
    features: "LocalFeatures | None" = None

    @property
    def neighbours(self) -> "Sequence[Neighbour]":
        """The entries of the gallery that were found, best first."""
        return self.found.neighbours if self.found else ()


class Operation(ABC, Generic[Options]):
    """An operation over a release. A new one is a file in this package and a line in its `OPERATIONS`.

    Attributes:
        name: Name in addresses.
        images: Number of images of one query.
        embeds: Whether the images go through the network together with those of other queries.
        options: Schema of the options.
        answer: Schema of the answer.
    """

    name: ClassVar[str]
    images: ClassVar[int] = 1
    embeds: ClassVar[bool] = True
    options: type[Options]
    answer: type[Answer]

    def wanted(self, gallery: "Gallery", options: Options) -> "Wanted | None":
        """What is wanted of the gallery for each image; None for nothing.

        Raises:
            InvalidInput: The gallery has no such label or group, or more is wanted than an answer may hold.
        """
        return None

    def localises(self, options: Options) -> bool:
        """Whether the local features of each image are wanted."""
        return False

    @abstractmethod
    def respond(self, release: "Release", images: Sequence[SeenImage], options: Options) -> dict[str, Any]:
        """The fields of `answer`, but for those that say which model gave it.

        Args:
            release: The release.
            images: The images of one query.
            options: Its options.

        Raises:
            InvalidInput: The release has no threshold for such a rate.
            Conflict: The release does not offer this operation.
        """

"""The engine: a stored model that turns the bytes of an image into an answer. It knows no server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.data.images import decode_image
from model.errors import GlocalError, InvalidInput
from model.release import Release, open_release, space_id
from model.retrieval.gallery import check_embeddings
from model.retrieval.retriever import Retriever
from model.schemas.golden import Neighbour
from serving.limits import IMAGE_LIMITS

Answer = dict[str, Any]


class Engine:
    """A verified release, loaded once.

    Args:
        release_folder: Folder of the release.
        version: Version of the registered model, for the answers.

    Raises:
        NotFound: There is no release.
        InvalidInput: The release differs from its manifest, mixes two embedding spaces, or its network yields NaN.
    """

    def __init__(self, release_folder: Path, *, version: str | None = None) -> None:
        self.release: Release = open_release(release_folder)
        self.version = version
        try:
            self._refuse_other_space()
            self._retriever: Retriever = self.release.retriever()
            self._refuse_bad_network()
        except (TypeError, KeyError, IndexError, ValueError, OSError) as error:
            raise InvalidInput(f"The release {self.release.id} cannot be loaded.", f"{type(error).__name__}: {error}") from error

    def search(self, image: bytes, k: int) -> Answer:
        """The k nearest gallery entries of one encoded image.

        Returns:
            `neighbours` (best first; id, label and score of each, and its inliers if the release re-ranks), `release`,
            `embedding_space_id` and, where it is known, `model_version`.

        Raises:
            InvalidInput: k below 1, or the bytes are no image that can be decoded within the limits.
        """
        (answer,) = self.search_many([(image, k)])
        if isinstance(answer, GlocalError):
            raise answer
        return answer

    def search_many(self, queries: Sequence[tuple[bytes, int]]) -> list[Answer | GlocalError]:
        """Answer a batch in one forward pass. An invalid query gets an error as its answer; the others are answered."""
        checked = [_check(image, k) for image, k in queries]
        good = [query for query in checked if isinstance(query, tuple)]
        if not good:
            return [query for query in checked if not isinstance(query, tuple)]
        results = iter(self._retriever.search([image for image, _ in good], max(k for _, k in good)))
        return [self._answer(next(results)[: query[1]]) if isinstance(query, tuple) else query for query in checked]

    def _answer(self, neighbours: Sequence[Neighbour]) -> Answer:
        answer: Answer = {
            "neighbours": [neighbour.model_dump(exclude_none=True) for neighbour in neighbours],
            "release": self.release.id,
            "embedding_space_id": self.release.embedding_space_id,
        }
        return answer if self.version is None else {**answer, "model_version": self.version}

    def _refuse_other_space(self) -> None:
        actual = space_id(self.release.folder)
        if actual != self.release.embedding_space_id:
            raise InvalidInput(
                f"The release says embedding space {self.release.embedding_space_id}, but its weights make {actual}.",
                "Index the gallery again with these weights.",
            )

    def _refuse_bad_network(self) -> None:
        size = self.release.spec.image_size
        embedding = self._retriever.embed([torch.full((3, size, size), 127, dtype=torch.uint8)])
        check_embeddings(embedding)
        width = self.release.gallery.vectors.shape[1]
        if embedding.shape[1] != width:
            raise InvalidInput(
                f"The network embeds in {embedding.shape[1]} dimensions, the gallery has {width}: two embedding spaces.",
                "Index the gallery again with these weights.",
            )


def _check(image: bytes, k: int) -> tuple[Tensor, int] | GlocalError:
    try:
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}.")
        return decode_image(image, IMAGE_LIMITS), k
    except InvalidInput as error:
        return error

"""The engine: a stored model that turns the bytes of an image into an answer. It knows no server."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from model.data.images import decode_image
from model.errors import Conflict, GlocalError, InvalidInput, Unavailable
from model.memory import is_out_of_memory
from model.release import Release, open_release, space_id
from model.retrieval.gallery import check_embeddings, usable_embeddings
from model.retrieval.local_features import LocalFeatures
from model.retrieval.retriever import Embedded, Found, Retriever, Wanted
from serving.limits import IMAGE_LIMITS
from serving.operations.operation import SeenImage
from serving.operations.query import Query, make_query

Fields = dict[str, Any]
"""The fields of an answer, as the schema of its operation has them."""
DECODING_S = 8.0
"""Seconds after which no further image of a batch is decoded. The slowest image within the limits, a PNG of 16 bits with alpha,
takes 7: a batch of them would take longer than a server of models waits for a worker, which it then kills."""
ANSWERING_S = 16.0
"""Seconds after which no further query of a batch is answered, as to detect in a large scene takes seconds. The last one that was
begun has as long again until a server of models gives its worker up."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Prepared:
    """A query that can be answered, with its decoded images (3, H, W) uint8 and what it wants of the gallery."""

    query: Query
    images: tuple[Tensor, ...]
    wanted: Wanted | None


class Engine:
    """A verified release, loaded once.

    Args:
        release_folder: Folder of the release.
        version: Version of the registered model, for the answers.

    Raises:
        NotFound: There is no release.
        Conflict: The release mixes two embedding spaces.
        InvalidInput: The release differs from its manifest, or its network yields NaN.
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

    def search(self, image: bytes, k: int) -> Fields:
        """The k nearest gallery entries of one encoded image: `answer` for the operation `search`."""
        return self.answer(make_query("search", [image], {"k": k}))

    def answer(self, query: Query) -> Fields:
        """The answer to one query: the fields of its operation's schema.

        Raises:
            GlocalError: What `answers` has for the query in place of an answer.
        """
        (answer,) = self.answers([query])
        if isinstance(answer, GlocalError):
            raise answer
        return answer

    def answers(self, queries: Sequence[Query]) -> list[Fields | GlocalError]:
        """Answer a batch. All images, whatever is asked of them, go through the network in one pass.

        Returns:
            For each query its answer, or the error of this query alone: `InvalidInput` for an image that cannot be decoded within
            the limits or has no embedding, and for an option that does not fit the release, `Conflict` for what the release does
            not offer, `Unavailable` where there is too little memory or time for it or the server of the gallery does not answer.
        """
        return self._answers_since(monotonic(), queries)

    def _answers_since(self, began: float, queries: Sequence[Query]) -> list[Fields | GlocalError]:
        """The answers to the queries of a batch that was begun then."""
        try:
            return self._answers(began, queries)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if len(queries) > 1:
            return [answer for query in queries for answer in self._answers_since(began, [query])]
        return [Unavailable("There is too little memory for this query now.", "Send it again later.")] * len(queries)

    def _answers(self, began: float, queries: Sequence[Query]) -> list[Fields | GlocalError]:
        prepared = [self._prepare(began + DECODING_S, query) for query in queries]
        seen = iter(self._see([each for each in prepared if isinstance(each, _Prepared)]))
        deadline = began + ANSWERING_S
        return [self._respond(deadline, each, next(seen)) if isinstance(each, _Prepared) else each for each in prepared]

    def _prepare(self, deadline: float, query: Query) -> "_Prepared | GlocalError":
        try:
            wanted = query.operation.wanted(self.release.gallery, query.options)
            return _Prepared(query, tuple(_decoded(deadline, image) for image in query.images), wanted)
        except GlocalError as error:
            return error

    def _see(self, prepared: Sequence["_Prepared"]) -> list[list[SeenImage] | GlocalError]:
        """The images of each query, after one pass of all those that the network embeds and a search for those that want one.

        Where the search fails, as by a Milvus server that is gone, its error stands for each query that wants one.
        """
        images = [image for each in prepared if each.query.operation.embeds for image in each.images]
        if not images:
            return [[SeenImage(image) for image in each.images] for each in prepared]
        embedded = self._retriever.forward(images)
        wanted = [each.wanted for each in prepared if each.query.operation.embeds for _ in each.images]
        usable = usable_embeddings(embedded.vectors)
        asking = [row for row, each in enumerate(wanted) if each is not None and usable[row]]
        found, failed = self._found(embedded.select(asking), [each for row in asking if (each := wanted[row]) is not None])
        by_row = dict(zip(asking, found, strict=not failed))
        vectors = [vector if fine else None for vector, fine in zip(embedded.vectors, usable, strict=True)]
        features = self._local_features(embedded, prepared)
        passed = iter(SeenImage(image, vectors[row], by_row.get(row), features.get(row)) for row, image in enumerate(images))
        seen = [[next(passed) if each.query.operation.embeds else SeenImage(image) for image in each.images] for each in prepared]
        return [failed if failed and each.wanted else images for each, images in zip(prepared, seen, strict=True)]

    def _local_features(self, embedded: Embedded, prepared: Sequence["_Prepared"]) -> dict[int, LocalFeatures]:
        """The local features of the images that an operation wants them of, by their numbers; none of a release without any."""
        owners = [each.query for each in prepared if each.query.operation.embeds for _ in each.images]
        rows = [row for row, query in enumerate(owners) if query.operation.localises(query.options)]
        if not rows or self.release.reranker is None:
            return {}
        return dict(zip(rows, self._retriever.local_features(embedded.select(rows)), strict=True))

    def _found(self, images: Embedded, wanted: Sequence[Wanted]) -> tuple[list[Found], GlocalError | None]:
        """What is wanted of the gallery, or nothing and the error. Where the gallery's server is, the log alone says."""
        try:
            return self._retriever.find(images, wanted), None
        except Unavailable as error:
            _log.warning("%s", error)
            return [], Unavailable("The gallery cannot be searched now.", "Send the query again later.")
        except GlocalError as error:
            return [], error

    def _respond(self, deadline: float, prepared: "_Prepared", images: Sequence[SeenImage] | GlocalError) -> Fields | GlocalError:
        if isinstance(images, GlocalError):
            return images
        if monotonic() > deadline:
            return Unavailable("The queries that came together take too long to answer.", "Send this query again, alone.")
        query = prepared.query
        if query.operation.embeds and any(image.vector is None for image in images):
            return InvalidInput("The network gives this image no embedding that can be compared.", "Send another image.")
        try:
            answer = query.operation.respond(self.release, images, query.options)
        except GlocalError as error:
            return error
        named = {"release": self.release.id, "embedding_space_id": self.release.embedding_space_id}
        return {**answer, **named} if self.version is None else {**answer, **named, "model_version": self.version}

    def _refuse_other_space(self) -> None:
        actual = space_id(self.release.folder)
        if actual != self.release.embedding_space_id:
            raise Conflict(
                f"The release says embedding space {self.release.embedding_space_id}, but its weights make {actual}.",
                "Index the gallery again with these weights.",
            )

    def _refuse_bad_network(self) -> None:
        size = self.release.spec.image_size
        embedding = self._retriever.embed([torch.full((3, size, size), 127, dtype=torch.uint8)])
        check_embeddings(embedding)
        width = self.release.gallery.dimensions
        if embedding.shape[1] != width:
            raise Conflict(
                f"The network embeds in {embedding.shape[1]} dimensions, the gallery has {width}: two embedding spaces.",
                "Index the gallery again with these weights.",
            )


def _decoded(deadline: float, image: bytes) -> Tensor:
    """An image, decoded if there is still time for it.

    Raises:
        Unavailable: There is none.
        InvalidInput: It cannot be decoded within the limits.
    """
    if monotonic() > deadline:
        raise Unavailable("The images that came together take too long to decode.", "Send this query again, alone.")
    return decode_image(image, IMAGE_LIMITS)

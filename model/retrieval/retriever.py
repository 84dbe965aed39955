"""The retriever: images to embeddings, embeddings to neighbours. Evaluation and serving both use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import resize
from model.networks.heads import RetrievalNetwork
from model.retrieval.embedding import MappedImages, trunk_maps
from model.retrieval.gallery import Gallery
from model.retrieval.local_features import LocalFeatures, features_of_images
from model.retrieval.reranker import Reranker
from model.schemas.golden import Neighbour


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the gallery for one image.

    Attributes:
        k: Number of neighbours, at least 1; clamped to the size of the gallery.
        among: Rows of the gallery that may be neighbours; None for all.
        rerank: Whether the first answers are sorted again, if there is a reranker.
        matches: Whether re-ranked neighbours say where they match.
    """

    k: int
    among: NDArray[np.int64] | None = None
    rerank: bool = True
    matches: bool = False


@dataclass(frozen=True)
class Found:
    """What a search found for one image.

    Attributes:
        neighbours: Entries of the gallery, best first.
        ended: Why re-ranking stopped, as `Reranked.ended`; None if nothing was sorted again.
    """

    neighbours: list[Neighbour]
    ended: Literal["limit", "budget", "no_keypoints"] | None = None


@dataclass(frozen=True)
class Embedded:
    """Images after one pass through the network.

    Attributes:
        mapped: The images as the trunk sees them, with its maps.
        vectors: (B, D) float32, L2-normalised, the merged embeddings.
    """

    mapped: MappedImages
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    def select(self, rows: Sequence[int]) -> "Embedded":
        """Some of the images, by their numbers in the batch."""
        picked = list(rows)
        images, shallow, deep = (each[picked] for each in self.mapped)
        return Embedded((images, shallow, deep), self.vectors[picked])


@dataclass(frozen=True)
class Retriever:
    """A network over the gallery that it searches.

    Attributes:
        network: Network in evaluation mode.
        image_size: Side of its square input.
        gallery: Embeddings that queries are compared with.
        reranker: Local features by which the first answers are sorted again; None leaves the order to the embeddings.
    """

    network: RetrievalNetwork
    image_size: int
    gallery: Gallery
    reranker: Reranker | None = None

    def embed(self, images: Sequence[Tensor]) -> NDArray[np.float32]:
        """Images (3, H, W) uint8 of any size -> (B, D) float32, L2-normalised."""
        return self.forward(images).vectors

    def search(self, images: Sequence[Tensor], k: int) -> list[list[Neighbour]]:
        """The k nearest gallery entries of each image, best first."""
        return [found.neighbours for found in self.find(self.forward(images), [Wanted(k)] * len(images))]

    @torch.inference_mode()
    def forward(self, images: Sequence[Tensor]) -> Embedded:
        """One pass of images (3, H, W) uint8 of any size through the network."""
        batch = torch.stack([resize(image, self.image_size) for image in images])
        shallow, deep = trunk_maps(self.network.trunk, batch)
        vectors: NDArray[np.float32] = self.network.heads(shallow, deep).merged.cpu().numpy()
        return Embedded((batch, shallow, deep), vectors)

    def find(self, images: Embedded, wanted: Sequence[Wanted]) -> list[Found]:
        """What is wanted of the gallery for each image. Images that may find every row, to the same depth, are searched at once.

        What one image is given does not depend on the others.

        Raises:
            InvalidInput: k is below 1.
        """
        parts: dict[tuple[int, int | None], list[int]] = {}
        for row, each in enumerate(wanted):
            parts.setdefault((self._depth(each), None if each.among is None else row), []).append(row)
        found: dict[int, Found] = {}
        for (depth, _), rows in parts.items():
            some = images if len(rows) == len(wanted) else images.select(rows)
            found |= zip(rows, self._search(some, depth, [wanted[row] for row in rows]), strict=True)
        return [found[row] for row in range(len(wanted))]

    def _depth(self, wanted: Wanted) -> int:
        """Number of neighbours that are looked for: those that are wanted, and those that are sorted again."""
        return max(wanted.k, self.reranker.limit if self.reranker and wanted.rerank else 0)

    def _search(self, images: Embedded, depth: int, wanted: list[Wanted]) -> list[Found]:
        """The neighbours of images that may find the same rows."""
        scores, rows = self.gallery.search(images.vectors, depth, among=wanted[0].among)
        again = [row for row, each in enumerate(wanted) if each.rerank] if self.reranker else []
        features = dict(zip(again, self.local_features(images.select(again)), strict=True)) if again else {}
        return [self._named(scores[row], rows[row], each, features.get(row)) for row, each in enumerate(wanted)]

    def local_features(self, images: Embedded) -> list[LocalFeatures]:
        """The local features of images, as the reranker compares them.

        Raises:
            InvalidInput: The network has no local head.
        """
        reduction = self.reranker.reduction if self.reranker else None
        return features_of_images(self.network.heads, *images.mapped, self.image_size, reduction=reduction)

    def _named(
        self, scores: NDArray[np.float32], rows: NDArray[np.int64], wanted: Wanted, features: LocalFeatures | None
    ) -> Found:
        reranker, k = self.reranker, wanted.k
        if reranker is None or features is None:
            return Found([self._neighbour(*one) for one in zip(scores[:k], rows[:k], strict=True)])
        again = reranker.order(features, rows, scores)
        order = again.order[:k]
        named = [self._neighbour(*one) for one in zip(scores[order], rows[order], again.inliers[:k], strict=True)]
        if wanted.matches:
            named = [
                one.model_copy(update={"matches": reranker.places(features, reranker.features[int(row)]) if one.inliers else ()})
                for one, row in zip(named, rows[order], strict=True)
            ]
        return Found(named, again.ended)

    def _neighbour(self, score: float, row: int, inliers: int | None = None) -> Neighbour:
        entries = self.gallery.entries
        inliers = None if inliers is None else int(inliers)
        return Neighbour(id=entries.id_of(row), label=entries.label_of(row), score=round(float(score), 6), inliers=inliers)

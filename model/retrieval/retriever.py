"""The retriever: images to embeddings, embeddings to neighbours. Evaluation and serving both use it."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        return self._vectors(self._mapped(images))

    def search(self, images: Sequence[Tensor], k: int) -> list[list[Neighbour]]:
        """The k nearest gallery entries of each image, best first. With a reranker, its first candidates are sorted again.

        Embedding and local features of an image come from one pass through the trunk.
        """
        mapped, reranker = self._mapped(images), self.reranker
        if reranker is None:
            found = self.gallery.search(self._vectors(mapped), k)
            return [[self._neighbour(*one) for one in zip(*each, strict=True)] for each in zip(*found, strict=True)]
        found = self.gallery.search(self._vectors(mapped), max(k, reranker.limit))
        queries = features_of_images(self.network.heads, *mapped, self.image_size, reduction=reranker.reduction)
        return [self._reranked(reranker, *each)[:k] for each in zip(queries, *found, strict=True)]

    def _mapped(self, images: Sequence[Tensor]) -> MappedImages:
        batch = torch.stack([resize(image, self.image_size) for image in images])
        return (batch, *trunk_maps(self.network.trunk, batch))

    @torch.inference_mode()
    def _vectors(self, mapped: MappedImages) -> NDArray[np.float32]:
        _, shallow, deep = mapped
        vectors: NDArray[np.float32] = self.network.heads(shallow, deep).merged.cpu().numpy()
        return vectors

    def _reranked(
        self, reranker: Reranker, query: LocalFeatures, scores: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> list[Neighbour]:
        found = reranker.order(query, rows, scores)
        return [self._neighbour(*one) for one in zip(scores[found.order], rows[found.order], found.inliers, strict=True)]

    def _neighbour(self, score: float, row: int, inliers: int | None = None) -> Neighbour:
        gallery = self.gallery
        label = gallery.classes[gallery.labels[row]]
        inliers = None if inliers is None else int(inliers)
        return Neighbour(id=str(gallery.ids[row]), label=label, score=round(float(score), 6), inliers=inliers)

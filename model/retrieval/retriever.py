"""The retriever: images to embeddings, embeddings to neighbours. Evaluation and serving both use it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import normalise, resize
from model.networks.heads import RetrievalNetwork
from model.retrieval.gallery import Gallery
from model.schemas.golden import Neighbour


@dataclass(frozen=True)
class Retriever:
    """A network in evaluation mode, the side of its square input, and the gallery that it searches."""

    network: RetrievalNetwork
    image_size: int
    gallery: Gallery

    def embed(self, images: Sequence[Tensor]) -> NDArray[np.float32]:
        """Images (3, H, W) uint8 of any size -> (B, D) float32, L2-normalised."""
        batch = torch.stack([resize(image, self.image_size) for image in images])
        trunk = self.network.trunk
        device = next(trunk.parameters()).device
        with torch.inference_mode():
            vectors: NDArray[np.float32] = self.network(normalise(batch, trunk.mean, trunk.std).to(device)).merged.cpu().numpy()
        return vectors

    def search(self, images: Sequence[Tensor], k: int) -> list[list[Neighbour]]:
        """The k nearest gallery entries of each image, best first."""
        scores, rows = self.gallery.search(self.embed(images), k)
        return [
            [self._neighbour(row, score) for row, score in zip(*nearest, strict=True)]
            for nearest in zip(rows, scores, strict=True)
        ]

    def _neighbour(self, row: int, score: float) -> Neighbour:
        gallery = self.gallery
        label = gallery.classes[gallery.labels[row]]
        return Neighbour(id=str(gallery.ids[row]), label=label, score=round(float(score), 6))

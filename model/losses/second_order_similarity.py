"""SOLAR's second-order similarity: the two images of a positive pair should lie at the same distance from a negative."""

import torch
from torch import Tensor, nn

from model.losses.triplet import HardTriplets


def second_order_similarity(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """sqrt(sum over triplets (||a - n||^2 - ||p - n||^2)^2) / n, a scalar.

    Ng et al., SOLAR, ECCV 2020, section 3.3, after Tian et al., SOSNet, CVPR 2019. Where all distances agree, the loss and its
    gradient are zero.

    Args:
        anchor, positive, negative: (n, D), one triplet in each row.
    """
    difference = (anchor - negative).square().sum(dim=1) - (positive - negative).square().sum(dim=1)
    return torch.linalg.vector_norm(difference) / max(1, len(difference))


class SecondOrderSimilarity(nn.Module):
    """`second_order_similarity` over the triplets of `model.losses.triplet.Triplet`."""

    def __init__(self) -> None:
        super().__init__()
        self.triplets = HardTriplets()

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        return second_order_similarity(*(vectors[rows] for rows in self.triplets(vectors, labels)))

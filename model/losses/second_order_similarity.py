"""SOLAR's two losses over triplets: a margin, and how alike the distances to a negative are."""

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_triplets
from torch import Tensor, nn

MARGIN = 1.25


def second_order_similarity(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """sqrt(sum over triplets (||a - n||^2 - ||p - n||^2)^2) / n, a scalar.

    An image and its like should stand at the same distance from what is unlike both (Ng et al., SOLAR, ECCV 2020, section 3.3,
    after Tian et al., SOSNet, CVPR 2019). Zero, with a gradient of zero, where all do.

    Args:
        anchor, positive, negative: (n, D), row by row a triplet.
    """
    difference = (anchor - negative).square().sum(dim=1) - (positive - negative).square().sum(dim=1)
    return torch.linalg.vector_norm(difference) / max(1, len(difference))


class HardTriplets(nn.Module):
    """Every pair of images of one class with the first one's nearest image of another: what both losses stand on."""

    def __init__(self) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False)
        self.miner = BatchEasyHardMiner(pos_strategy="all", neg_strategy="hard", distance=distance)

    def forward(self, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, D) and labels (B,) -> rows of anchors, positives and negatives, (n,) each."""
        pairs = self.miner(vectors, labels)  # like pairs and unlike pairs, each with rows of anchors of their own
        anchors, positives, negatives = convert_to_triplets(pairs, labels)
        return anchors, positives, negatives


class TripletLoss(nn.Module):
    """max(0, ||a - p||^2 - ||a - n||^2 + margin) over hard triplets, the mean over those above zero (SOLAR: margin 1.25)."""

    def __init__(self, margin: float = MARGIN) -> None:
        super().__init__()
        self.triplets = HardTriplets()
        self.margin = TripletMarginLoss(margin=margin, distance=LpDistance(normalize_embeddings=False, power=2))

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        loss: Tensor = self.margin(vectors, labels, self.triplets(vectors, labels))
        return loss


class SecondOrderSimilarity(nn.Module):
    """`second_order_similarity` over the triplets of `TripletLoss`."""

    def __init__(self) -> None:
        super().__init__()
        self.triplets = HardTriplets()

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        return second_order_similarity(*(vectors[rows] for rows in self.triplets(vectors, labels)))

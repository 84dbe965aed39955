"""Triplet loss over hard triplets, as SOLAR uses it (Ng et al., ECCV 2020, section 3.3)."""

from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_triplets
from torch import Tensor, nn

MARGIN = 1.25
"""SOLAR's margin between squared distances."""


class HardTriplets(nn.Module):
    """Miner of hard triplets: every pair of images of one class with the first image's nearest negative."""

    def __init__(self) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False)
        self.miner = BatchEasyHardMiner(pos_strategy="all", neg_strategy="hard", distance=distance)

    def forward(self, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, D) and labels (B,) -> rows of anchors, positives and negatives, (n,) each."""
        pairs = self.miner(vectors, labels)  # positive pairs and negative pairs, each with its own anchors
        anchors, positives, negatives = convert_to_triplets(pairs, labels)
        return anchors, positives, negatives


class Triplet(nn.Module):
    """max(0, ||a - p||^2 - ||a - n||^2 + margin), averaged over the triplets whose loss is above zero."""

    def __init__(self, margin: float = MARGIN) -> None:
        super().__init__()
        self.triplets = HardTriplets()
        self.margin = TripletMarginLoss(margin=margin, distance=LpDistance(normalize_embeddings=False, power=2))

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        loss: Tensor = self.margin(vectors, labels, self.triplets(vectors, labels))
        return loss

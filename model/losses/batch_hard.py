"""Batch-hard triplet loss as SONA uses it (Hermans et al., 2017)."""

from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn


class BatchHard(nn.Module):
    """Soft-margin triplet loss of every image with its furthest positive and its nearest negative."""

    def __init__(self) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False)
        self.miner, self.loss = BatchHardMiner(distance=distance), TripletMarginLoss(0.0, smooth_loss=True, distance=distance)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        loss: Tensor = self.loss(vectors, labels, self.miner(vectors, labels))
        return loss

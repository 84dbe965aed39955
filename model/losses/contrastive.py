"""Contrastive loss as ABE uses it (W. Kim et al., ECCV 2018)."""

from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss


class Contrastive(ContrastiveLoss):
    """Squared distances: positives are pulled to 0, negatives pushed beyond 1. Each kind is averaged on its own."""

    def __init__(self) -> None:
        super().__init__(0, 1, distance=LpDistance(normalize_embeddings=False, power=2))

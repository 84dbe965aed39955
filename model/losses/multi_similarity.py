"""Multi-Similarity loss: all pairs of a batch, weighted by how similar they are (X. Wang et al., CVPR 2019)."""

from pytorch_metric_learning.losses import MultiSimilarityLoss


class MultiSimilarity(MultiSimilarityLoss):
    """Multi-Similarity with alpha 2, beta 50 and threshold 0.5."""

    def __init__(self) -> None:
        super().__init__(alpha=2, beta=50, base=0.5)

"""A mask of one learner of an ensemble: ABE's."""

from torch import Tensor, nn


class AttentionMask(nn.Module):
    """The map times a mask of its own size: x * A(x), with A two 1x1 convolutions, a ReLU between and a sigmoid behind.

    One of ABE's masks A_m (W. Kim et al., Attention-based Ensemble for Deep Metric Learning, ECCV 2018, section 3.2). Unlike the
    other blocks it starts at random and not as the identity: learners that start alike would stay alike, as the divergence
    loss has no gradient where embeddings are equal.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.mask = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        refined: Tensor = features * self.mask(features)
        return refined

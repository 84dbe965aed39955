"""ABE's attention mask of one learner of an ensemble."""

from torch import Tensor, nn


class AttentionMask(nn.Module):
    """The map times a mask of its own size: x * A(x). A is a 1x1 convolution, a ReLU, a 1x1 convolution and a sigmoid.

    One of ABE's masks A_m (W. Kim et al., Attention-based Ensemble for Deep Metric Learning, ECCV 2018, section 3.2). Its init
    is random and not the identity like the other blocks': equal learners would stay equal, because the divergence loss has no
    gradient where embeddings are equal.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.mask = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        refined: Tensor = features * self.mask(features)
        return refined

"""Proxy Anchor loss: one proxy for each class, compared with all images of a batch (S. Kim et al., CVPR 2020)."""

from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor


class ProxyAnchor(ProxyAnchorLoss):
    """Proxy Anchor with alpha 32 and margin 0.1."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes, width, margin=0.1, alpha=32)

    @property
    def class_proxies(self) -> Tensor:
        """The proxies, (classes, D)."""
        proxies: Tensor = self.proxies
        return proxies

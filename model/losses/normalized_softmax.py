"""Normalised softmax loss: a cosine classifier whose columns are the classes' proxies (Zhai and Wu, BMVC 2019)."""

from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor


class NormalizedSoftmax(NormalizedSoftmaxLoss):
    """Normalised softmax with temperature 0.05."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes, width, temperature=0.05)

    @property
    def class_proxies(self) -> Tensor:
        """The classifier's columns, (classes, D)."""
        proxies: Tensor = self.W.T
        return proxies

"""Softmax loss: the cross-entropy of a linear classifier."""

import torch.nn.functional as F
from torch import Tensor, nn


class Softmax(nn.Module):
    """Cross-entropy of a linear classifier with a bias."""

    class_proxies = None
    """The classifier starts at random: it reads vectors of any length, for which a class mean is no classifier."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, classes)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Vectors (B, D) and labels (B,) -> a scalar."""
        return F.cross_entropy(self.classifier(vectors), labels)

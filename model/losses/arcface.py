"""ArcFace loss as DELG uses it (Cao et al., ECCV 2020, section 4.1)."""

import math

import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import Tensor, nn


class ArcFace(ArcFaceLoss):
    """ArcFace with a margin of 0.1 radians and a learned scale that starts at sqrt(2048)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes, width, margin=math.degrees(0.1))
        del self.scale  # type: ignore[has-type]
        self.scale = nn.Parameter(torch.tensor(math.sqrt(2048)))

    @property
    def class_proxies(self) -> Tensor:
        """The classifier's columns, (classes, D)."""
        proxies: Tensor = self.W.T
        return proxies

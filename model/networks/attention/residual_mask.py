"""Wang's residual mask: attention computed from several scales of the map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualMask(nn.Module):
    """Every value of the map is amplified by a mask that is computed from N coarser scales of the map.

    y = (1 + M(x)) * x. M(x) has the size of x. It is halved N times (max pooling and a residual unit), enlarged N times
    (bilinear, to the size of the level above, so that odd sizes are restored), joined at each level by a skip connection with
    its own residual unit, and ends in a sigmoid (Wang et al., US 2019/0311223 and Residual Attention Network, CVPR 2017,
    section 3). The trunk's map x serves as F(x) of the paper.

    N is `depth`, or fewer where a map reaches 1 x 1 earlier: a 5 x 5 map goes to 3 x 3 and 2 x 2. A map with more than
    2^(depth - 1) positions in height or width uses all weights. The mask has C / reduction channels, where the papers keep C, to
    keep a head small. 1 + M is never 1: the last convolution is initialised with weights 0 and bias -3, so the block starts as
    1.05 times the map, which is the identity after normalisation.
    """

    def __init__(self, channels: int, reduction: int = 4, depth: int = 2) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.enter = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.down = nn.ModuleList(ResidualUnit(inner) for _ in range(depth))
        self.skip = nn.ModuleList(ResidualUnit(inner) for _ in range(depth))
        self.leave = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.constant_(self.leave.bias, -3.0)  # type: ignore[arg-type]  # made with a bias above

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        return (1 + self.mask(features)) * features

    def mask(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W), between 0 and 1."""
        levels: list[Tensor] = [self.enter(features)]
        for unit in self.down:
            if max(levels[-1].shape[2:]) == 1:
                break
            levels.append(unit(F.max_pool2d(levels[-1], 3, stride=2, padding=1)))
        coarse = levels[-1]
        for finer, unit in reversed(list(zip(levels[:-1], self.skip, strict=False))):  # strict: a small map has fewer levels
            coarse = F.interpolate(coarse, size=finer.shape[2:], mode="bilinear") + unit(finer)
        return torch.sigmoid(self.leave(coarse))


class ResidualUnit(nn.Module):
    """relu(x + norm(conv(x))), with a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        return torch.relu(features + self.norm(self.conv(features)))

"""Images that tests draw."""

import torch
from torch import Tensor


def scenery(seed: int = 0, side: int = 240) -> Tensor:
    """Blots of every colour at random positions, (3, side, side) uint8: enough to tell one spot from another."""
    coarse = torch.rand((1, 3, side // 8, side // 8), generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0].clamp(0, 1) * 255).to(torch.uint8)

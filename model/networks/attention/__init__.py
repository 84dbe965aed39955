"""Attention blocks, one in each file: (B, C, H, W) to the same shape. Every head has a block of its own.

A new block is one new file in this folder and one line in `ATTENTION`. This module imports no torch, so names can be checked
quickly.
"""

from collections.abc import Callable
from typing import Any

from model.named_parts import lazy

ATTENTION: dict[str, Callable[[int], Any]] = {
    "second_order": lazy("model.networks.attention.second_order:SecondOrderAttention"),
    "second_order_nonlocal": lazy("model.networks.attention.second_order_nonlocal:SecondOrderNonLocalAttention"),
    "second_order_channel": lazy("model.networks.attention.second_order_channel:SecondOrderChannelAttention"),
    "residual_mask": lazy("model.networks.attention.residual_mask:ResidualMask"),
    "mask": lazy("model.networks.attention.mask:AttentionMask"),
    "none": lazy("torch.nn:Identity"),
}
"""Attention blocks by name. Each is built for a number of channels."""
IDENTITY_AT_INIT = frozenset({"second_order", "second_order_nonlocal", "none"})
"""Blocks that are the identity before they are trained, so that a training which leaves them out starts from the same network."""

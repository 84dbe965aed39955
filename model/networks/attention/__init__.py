"""Attention blocks: (B, C, H, W) to the same shape, one of their own for each head."""

from collections.abc import Callable

from torch import nn

from model.networks.attention.mask import AttentionMask
from model.networks.attention.residual_mask import ResidualMask
from model.networks.attention.second_order import SecondOrderAttention
from model.networks.attention.second_order_channel import SecondOrderChannelAttention
from model.networks.attention.second_order_nonlocal import SecondOrderNonLocalAttention

__all__ = [
    "ATTENTION",
    "AttentionMask",
    "ResidualMask",
    "SecondOrderAttention",
    "SecondOrderChannelAttention",
    "SecondOrderNonLocalAttention",
    "no_attention",
]


def no_attention(channels: int) -> nn.Module:
    """The map as it is."""
    return nn.Identity()


ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "second_order": SecondOrderAttention,
    "second_order_nonlocal": SecondOrderNonLocalAttention,
    "second_order_channel": SecondOrderChannelAttention,
    "residual_mask": ResidualMask,
    "mask": AttentionMask,
    "none": no_attention,
}
"""Attention blocks by name, each made from the number of channels."""

"""Batch norm with frozen statistics: they are computed once, over all training images, and do not follow the batches.

The network in training is therefore a function of each image alone. A batch can be split into chunks and over processes
without changing the result, the trained network is the served network, and batches of a few classes do not bias the statistics.
"""

from collections.abc import Iterable

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from model.networks.heads import MultiHead

_ACROSS = (_BatchNorm, _DropoutNd, DropPath)
"""Layers whose output for an image depends on the other images of its batch, or on chance."""


def freeze_statistics(module: nn.Module) -> None:
    """Put all layers into evaluation mode that make an image's embedding depend on its batch or on chance."""
    for part in module.modules():
        if isinstance(part, _ACROSS):
            part.eval()


@torch.no_grad()
def calibrate_norms(heads: MultiHead, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Set the statistics of the heads' batch norms to those of the training images.

    Args:
        heads: Heads, which are changed in place.
        batches: Shallow map, deep map and labels (B,) of every training image once.
    """
    heads.eval()
    norms = {module: module.momentum for module in heads.modules() if isinstance(module, _BatchNorm)}
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for shallow, deep, _ in batches:
        if len(deep) > 1:  # one image with a map of one position has no variance
            heads(shallow, deep)
    for norm, momentum in norms.items():
        norm.momentum = momentum
        norm.eval()

"""Batch norm at rest: statistics are taken once, over all training images, and do not follow the batches.

So the network in training is a function of each image alone. A batch may be cut into chunks and over processes without a
change of the result, what is trained is what is served, and batches of a few classes cannot bend the statistics.
"""

from collections.abc import Iterable

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from model.networks.heads import MultiHead

_ACROSS = (_BatchNorm, _DropoutNd, DropPath)
"""What makes of one image now this and now that: by the others of its batch, or by chance."""


def rest(module: nn.Module) -> None:
    """Let everything rest in whatever ties an image's embedding to its batch."""
    for part in module.modules():
        if isinstance(part, _ACROSS):
            part.eval()


@torch.no_grad()
def calibrate_norms(heads: MultiHead, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Set the statistics of the heads' new batch norms to those of the training images.

    Args:
        heads: Changed in place.
        batches: Shallow map, deep map and labels (B,) of the training images, each once.
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
        if len(deep) > 1:  # one image on a map of one place has no variance
            heads(shallow, deep)
    for norm, momentum in norms.items():
        norm.momentum = momentum
        norm.eval()

"""The gradient of one batch, however it is cut into chunks and over processes.

The losses compare every image with every other, so gradients of parts of a batch do not add up to the batch's. The cut is made
at the embeddings instead: the loss is taken on all of them, and its gradient to each one is carried back through the network
wherever and whenever that image passes it. In chunks the network first runs without gradients, then each chunk again with
them, which costs one more forward pass and keeps activations of one chunk only (L. Gao et al., GradCache, RepL4NLP 2021).

That is exact because in training the network is a function of each image alone: see `model.training.norms`.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from model.networks.heads import Embeddings
from model.training.distributed import gather_rows, share, sum_gradients

Inputs = tuple[Tensor, ...]
"""What `RetrievalNetwork` takes: images, or the two maps made of them."""
Tree = TypeVar("Tree")


def batch_gradients(
    fabric: Fabric,
    network: nn.Module,
    embed: Callable[..., Embeddings],
    loss: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    chunk: int = 0,
) -> Tensor:
    """Set the gradients of network and loss to those of a whole batch.

    Args:
        fabric: Its processes share the batch.
        network: Whose parameters learn.
        embed: The network's forward pass, as it is or compiled.
        loss: Of all embeddings of the batch and their labels.
        inputs: This process's share of the batch, (b, ...) each.
        labels: (B,) of the whole batch.
        chunk: How many images pass the network at once; 0 for all.

    Returns:
        The loss of the whole batch, a scalar without gradient.
    """
    chunks = list(zip(*(tensor.split(chunk or len(tensor)) for tensor in inputs), strict=True))
    at_once = len(chunks) == 1
    with torch.set_grad_enabled(at_once):
        parts = [_forward(fabric, embed, some) for some in chunks]
    whole = map_tensors(lambda *pieces: gather_rows(fabric, torch.cat(pieces).detach(), len(labels)).requires_grad_(), *parts)
    value: Tensor = loss(whole, labels)
    for parameter in (*network.parameters(), *loss.parameters()):
        parameter.grad = None  # not before the forward pass: a heap that shrinks and grows again costs a tenth of a step
    value.backward()  # type: ignore[no-untyped-call]  # to the proxies, the same in every process, and to the embeddings
    start = share(fabric, len(labels)).start
    for some in chunks:
        _carry_back(parts[0] if at_once else _forward(fabric, embed, some), whole, start)
        start += len(some[0])
    sum_gradients(fabric, network.parameters())
    return value.detach()


def _forward(fabric: Fabric, embed: Callable[..., Embeddings], inputs: Inputs) -> Embeddings:
    with fabric.autocast():
        return embed(*inputs)


def _carry_back(part: Embeddings, whole: Embeddings, start: int) -> None:
    """Take the gradients of rows of the whole from `start` back through the pass that made them."""
    pairs: list[tuple[Tensor, Tensor]] = []

    def pair(output: Tensor, leaf: Tensor) -> Tensor:
        if leaf.grad is not None:  # a loss need not stand on all
            pairs.append((output, leaf.grad[start : start + len(output)]))
        return output

    map_tensors(pair, part, whole)
    torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])


def map_tensors(function: Callable[..., Tensor], tree: Tree, *others: Tree) -> Tree:
    """Call `function` with the tensors at the same place of all trees: dataclasses and dictionaries, however nested."""
    if isinstance(tree, Tensor):
        return function(tree, *others)  # type: ignore[return-value]
    if isinstance(tree, dict):
        return {key: map_tensors(function, value, *(other[key] for other in others)) for key, value in tree.items()}  # type: ignore[return-value, index]
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in fields(tree)]
        parts = {n: map_tensors(function, getattr(tree, n), *(getattr(other, n) for other in others)) for n in names}
        return replace(tree, **parts)
    return tree

"""The gradient of one batch that is split into chunks and over processes.

The losses compare every image with every other, so the gradients of parts of a batch do not add up to the batch's gradient.
The computation is split at the embeddings instead: the loss is computed on all embeddings, and its gradient with respect to
each embedding is propagated through the network in the process and chunk of its image. With chunks, the network first runs on
all of them without gradients and then on each chunk again with gradients. This costs a second forward pass and keeps the
activations of one chunk only (L. Gao et al., GradCache, RepL4NLP 2021).

The result is exact, because in training the network is a function of each image alone: see `model.training.norms`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from model.networks.heads import Embeddings
from model.training.distributed import gather_rows, share, sum_gradients

Inputs = tuple[Tensor, ...]
"""Inputs of `RetrievalNetwork`: images, their two feature maps, or the vectors that the heads projected."""
Tree = TypeVar("Tree")


def batch_gradients(
    fabric: Fabric,
    parameters: Sequence[nn.Parameter],
    embed: Callable[..., Embeddings],
    loss: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    chunk: int = 0,
) -> Tensor:
    """Set the gradients of the network's parameters and of the loss to those of a whole batch.

    Args:
        fabric: Processes that share the batch.
        parameters: Trained parameters of the network. A list, because walking a deep network costs a hundredth of a step.
        embed: The network's forward pass, compiled or not.
        loss: Loss of all embeddings of the batch and their labels.
        inputs: This process's share of the batch, (b, ...) each.
        labels: (B,) labels of the whole batch.
        chunk: Images in one forward pass; 0 for all.

    Returns:
        The loss of the whole batch, a scalar without gradient.
    """
    chunks = list(zip(*(tensor.split(chunk or len(tensor)) for tensor in inputs), strict=True))
    at_once = len(chunks) == 1
    with torch.set_grad_enabled(at_once):
        parts = [_forward(fabric, embed, some) for some in chunks]
    whole = map_tensors(lambda *pieces: gather_rows(fabric, torch.cat(pieces).detach(), len(labels)).requires_grad_(), *parts)
    value: Tensor = loss(whole, labels)
    for parameter in (*parameters, *loss.parameters()):
        parameter.grad = None  # freed after the forward pass: freeing before it costs a tenth of a step
    value.backward()  # type: ignore[no-untyped-call]  # gradients of the proxies, equal in every process, and of the embeddings
    first = share(fabric, len(labels)).start
    for some in chunks:
        _backward(parts[0] if at_once else _forward(fabric, embed, some), whole, first)
        first += len(some[0])
    sum_gradients(fabric, parameters)
    return value.detach()


def _forward(fabric: Fabric, embed: Callable[..., Embeddings], inputs: Inputs) -> Embeddings:
    with fabric.autocast():
        return embed(*inputs)


def _backward(part: Embeddings, whole: Embeddings, first: int) -> None:
    """Propagate the gradients of the whole batch's rows from `first` on through the forward pass of `part`."""
    pairs: list[tuple[Tensor, Tensor]] = []

    def pair(output: Tensor, leaf: Tensor) -> Tensor:
        if leaf.grad is not None:  # no loss term may read this embedding
            pairs.append((output, leaf.grad[first : first + len(output)]))
        return output

    map_tensors(pair, part, whole)
    torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])


def map_tensors(function: Callable[..., Tensor], tree: Tree, *others: Tree) -> Tree:
    """Call `function` with the corresponding tensors of all trees; a tree is nested dataclasses and dictionaries of tensors."""
    if isinstance(tree, Tensor):
        return function(tree, *others)  # type: ignore[return-value]
    if isinstance(tree, dict):
        return {key: map_tensors(function, value, *(other[key] for other in others)) for key, value in tree.items()}  # type: ignore[return-value, index]
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in fields(tree)]
        parts = {n: map_tensors(function, getattr(tree, n), *(getattr(other, n) for other in others)) for n in names}
        return replace(tree, **parts)
    return tree

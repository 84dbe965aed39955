"""A method's loss: the weighted sum of its terms, each computed on the merged embedding, on one head or on all heads.

Claims 2, 11 and 20 of US 2022/0156587 A1.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import InvalidInput
from model.losses.terms import TERMS, LossSpec


class BatchEmbeddings(Protocol):
    """The embeddings that a network returns for a batch, such as `model.networks.heads.Embeddings`."""

    def on(self, name: str) -> Tensor:
        """The embedding that a term reads, by the name in its `LossSpec`."""
        ...


class HybridLoss(nn.Module):
    """The weighted sum of loss terms. Its only parameters are those of its terms, such as proxies and classifiers.

    Args:
        specs: The terms.
        widths: Length of every embedding that a term may read, by name: `MultiHead.widths`.
        classes: Number of training classes.

    Raises:
        InvalidInput: A term learns parameters and does not declare `class_proxies`, or declares them in another shape.
    """

    def __init__(self, specs: Sequence[LossSpec], widths: dict[str, int], classes: int) -> None:
        super().__init__()
        self.specs = tuple(specs)
        self.terms = nn.ModuleList(_build(spec, widths.get(spec.on, 0), classes) for spec in specs)

    def forward(self, embeddings: BatchEmbeddings, labels: Tensor) -> Tensor:
        """Embeddings of a batch and its labels (B,) in [0, classes) -> the loss, a scalar."""
        total = embeddings.on("merged").new_zeros(())
        for spec, term in zip(self.specs, self.terms, strict=True):
            total = total + spec.weight * term(embeddings.on(spec.on), labels)
        return total

    @property
    def proxy_inputs(self) -> tuple[str, ...]:
        """Names of the embeddings that proxies are compared with."""
        named = ((spec.on, class_proxies(spec, term)) for spec, term in zip(self.specs, self.terms, strict=True))
        return tuple(dict.fromkeys(on for on, proxies in named if proxies is not None))

    @torch.no_grad()
    def init_proxies(self, means: dict[str, Tensor]) -> None:
        """Set every class's proxy to the direction of its class mean. The proxies keep their mean length.

        Args:
            means: Mean embedding of every class, (classes, D), for each name in `proxy_inputs`.

        Raises:
            InvalidInput: Means are missing, or have another shape than the proxies.
        """
        for spec, term in zip(self.specs, self.terms, strict=True):
            proxies = class_proxies(spec, term)
            if proxies is None:
                continue
            if spec.on not in means or means[spec.on].shape != proxies.shape:
                raise InvalidInput(
                    f"The proxies of the loss term {spec.name} cannot be placed: there are no class means of {spec.on} "
                    f"of shape {tuple(proxies.shape)}.",
                    "Let class_proxies of the term return a view of shape (classes, D), or set train.init=random.",
                )
            proxies.copy_(F.normalize(means[spec.on], dim=1) * proxies.norm(dim=1).mean())


def class_proxies(spec: LossSpec, term: nn.Module) -> Tensor | None:
    """A term's (classes, D) proxies as a view of its parameter; None where it has no proxies.

    Raises:
        InvalidInput: The term learns parameters and does not declare which of them are proxies.
    """
    if next(term.parameters(), None) is None:
        return None
    if not hasattr(type(term), "class_proxies"):
        raise InvalidInput(
            f"The loss term {spec.name} learns parameters and does not declare class_proxies.",
            f"Add that property to {type(term).__name__}: its (classes, D) proxies, or None if it must start at random.",
        )
    proxies: Tensor | None = term.class_proxies  # type: ignore[assignment]
    return None if proxies is None else proxies.detach()


def _build(spec: LossSpec, width: int, classes: int) -> nn.Module:
    term: nn.Module = TERMS[spec.name](classes, width)
    proxies = class_proxies(spec, term)
    if proxies is not None and proxies.shape != (classes, width):
        raise InvalidInput(
            f"The loss term {spec.name} declares class_proxies of shape {tuple(proxies.shape)}, not ({classes}, {width}).",
            "Let class_proxies return a view of shape (classes, D).",
        )
    return term

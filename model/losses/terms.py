"""The register of loss terms. A new term is one new file in this folder and one line in `TERMS`.

A term is a `torch.nn.Module` whose forward pass takes embeddings and labels and returns a scalar. A term that learns
parameters declares the property `class_proxies`:

- the (classes, D) view of its parameter that holds one vector for each class: the init places these vectors at the class means;
- or None, where the parameters must start at random.

`model.losses.hybrid.HybridLoss` refuses a term that learns parameters and declares nothing, so no proxies start at random by
mistake. This module imports no torch, so names can be checked quickly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from model.errors import InvalidInput
from model.named_parts import lazy, nearest

BuildTerm = Callable[[int, int], Any]
"""Builds a term for a number of classes and the length of the embedding that the term reads."""


def _per_image(path: str) -> BuildTerm:
    """A term that needs neither the number of classes nor the length of the embedding."""
    build = lazy(f"model.losses.{path}")
    return lambda classes, width: build()


def _per_class(path: str) -> BuildTerm:
    """A term that learns parameters for each class."""
    return lazy(f"model.losses.{path}")


TERMS: dict[str, BuildTerm] = {
    "multi_similarity": _per_image("multi_similarity:MultiSimilarity"),
    "proxy_anchor": _per_class("proxy_anchor:ProxyAnchor"),
    "contrastive": _per_image("contrastive:Contrastive"),
    "divergence": _per_image("divergence:Divergence"),
    "arcface": _per_class("arcface:ArcFace"),
    "softmax": _per_class("softmax:Softmax"),
    "reconstruction": _per_image("reconstruction:Reconstruction"),
    "triplet": _per_image("triplet:Triplet"),
    "second_order_similarity": _per_image("second_order_similarity:SecondOrderSimilarity"),
    "normalized_softmax": _per_class("normalized_softmax:NormalizedSoftmax"),
    "batch_hard": _per_image("batch_hard:BatchHard"),
}
"""Loss terms by name."""


@dataclass(frozen=True)
class LossSpec:
    """One term of a method's training loss.

    Attributes:
        name: Name of the term in `TERMS`.
        on: Embedding that the term reads: `merged`, a head by its name, `heads` (all heads), or one of the autoencoder's
            outputs, `attended` and `reconstruction_error`.
        weight: Weight of the term in the sum.

    Raises:
        InvalidInput: There is no term of that name.
    """

    name: str
    on: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in TERMS:
            raise InvalidInput(f"There is no loss term {self.name}.", f"Did you mean {nearest(self.name, TERMS)}?")

"""The methods: named compositions of taps, attention, pooling, heads and losses. A new method is a new entry here."""

from dataclasses import dataclass
from typing import Literal

from model.errors import InvalidInput


@dataclass(frozen=True)
class HeadSpec:
    """One head of the network.

    Attributes:
        tap: The feature map it reads: the trunk's last (`deep`) or the one before (`shallow`).
        dimensions: Length of its embedding.
        attention: A name in `model.networks.attention.ATTENTION`.
        pooling: A name in `model.networks.pooling.POOLING`.
        layer_norm: Whether the pooled vector is standardised (no parameters) before the projection.
        weight: What its embedding is multiplied by in the merged vector; None leaves it at its own length.
    """

    tap: Literal["shallow", "deep"]
    dimensions: int
    attention: str = "second_order"
    pooling: str = "average_plus_max"
    layer_norm: bool = True
    weight: float | None = 1.0


@dataclass(frozen=True)
class LossSpec:
    """One term of the training loss: a loss by name, on the merged embedding or on one head's, with its weight."""

    name: Literal["multi_similarity", "proxy_anchor"]
    on: str
    weight: float


@dataclass(frozen=True)
class Method:
    """Heads by name, merged by concatenation in their order, and the losses that train them.

    Attributes:
        heads: By name, in the order of the merged vector.
        losses: What is summed.
        whiten: Whether the projections start as whitenings of the training pictures (`model.training.whitening`) or at random.
    """

    heads: dict[str, HeadSpec]
    losses: tuple[LossSpec, ...]
    whiten: bool = False

    @property
    def dimensions(self) -> int:
        """Length of the merged embedding."""
        return sum(head.dimensions for head in self.heads.values())


def hybrid(on: str, weight: float = 1.0) -> tuple[LossSpec, LossSpec]:
    """The pairwise and the proxy loss together, in the paper's proportion: claims 2, 11 and 20."""
    return LossSpec("multi_similarity", on, weight), LossSpec("proxy_anchor", on, 0.03 * weight)


METHODS: dict[str, Method] = {
    # The claims, with what measurement adds to the paper's print: see docs/decisions/0003-multi-head.md.
    "multi_head": Method(
        heads={
            "global": HeadSpec("deep", 384, pooling="average"),
            "local": HeadSpec("shallow", 128, pooling="average", weight=0.5),
        },
        losses=(*hybrid("merged"), *hybrid("global", 0.5), *hybrid("local", 0.5)),
        whiten=True,
    ),
    # The paper's recipe as far as it is known: 256 + 256, merged as they are, both losses on the merged vector and on each head.
    "multi_head_paper": Method(
        heads={
            "global": HeadSpec("deep", 256, layer_norm=False, weight=None),
            "local": HeadSpec("shallow", 256, layer_norm=False, weight=None),
        },
        losses=(*hybrid("merged"), *hybrid("global"), *hybrid("local")),
    ),
}


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        InvalidInput: There is none.
    """
    if name not in METHODS:
        raise InvalidInput(f"There is no method {name}.", f"Methods: {', '.join(METHODS)}.")
    return METHODS[name]

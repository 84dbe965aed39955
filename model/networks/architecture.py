"""The description of a network's heads. A release stores this description, so its field names must not change."""

from dataclasses import dataclass, replace
from typing import Literal

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
"""Names of the files of a network in the folder of a checkpoint or a release: its description and its weights."""


@dataclass(frozen=True)
class HeadSpec:
    """One head of the network.

    Attributes:
        tap: Feature map that the head reads: the trunk's last map (`deep`) or the map before it (`shallow`).
        dimensions: Length of the head's embedding.
        attention: Name of the attention block in `model.networks.attention.ATTENTION`.
        channels: Output channels of a 1x1 convolution before the pooling; None for no convolution.
        pooling: Name of the pooling in `model.networks.pooling.POOLING`.
        layer_norm: Whether the pooled vector is standardised (without parameters) before the projection.
        weight: Weight of the normalised embedding in the merged vector; None merges the embedding with its own length.
        shared: Name of a projection; heads that give the same name share one projection. None for a projection of its own.
    """

    tap: Literal["shallow", "deep"]
    dimensions: int
    attention: str = "none"
    channels: int | None = None
    pooling: str = "average"
    layer_norm: bool = True
    weight: float | None = 1.0
    shared: str | None = None


@dataclass(frozen=True)
class Architecture:
    """The heads of a network.

    Attributes:
        heads: Heads by name. The alphabetical order of the names is that of their vectors in the merged embedding and of their
            stored weights, because JSON objects have no order.
        autoencoder: Whether DELG's attention and autoencoder read the shallow map, for local features only.
    """

    heads: dict[str, HeadSpec]
    autoencoder: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", dict(sorted(self.heads.items())))

    @property
    def dimensions(self) -> int:
        """Length of the merged embedding."""
        return sum(head.dimensions for head in self.heads.values())

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each head in the merged vector before any is chosen, by name; 1 for a head that keeps its own length."""
        return {name: 1.0 if head.weight is None else head.weight for name, head in self.heads.items()}

    @property
    def attentive(self) -> bool:
        """Whether a head has an attention block."""
        return any(head.attention != "none" for head in self.heads.values())

    def without_attention(self) -> "Architecture":
        """The same heads without attention blocks."""
        heads = {name: replace(head, attention="none") for name, head in self.heads.items()}
        return replace(self, heads=heads)

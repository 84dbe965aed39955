"""The heads, and the network that joins them to the trunk: claims 1, 3, 5 to 8, 12 and 21."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.attention import ATTENTION
from model.networks.methods import HeadSpec, Method
from model.networks.pooling import POOLING
from model.networks.trunk import Trunk


@dataclass(frozen=True)
class Embeddings:
    """What the heads say of a batch.

    Attributes:
        merged: (B, D) float32, L2-normalised: content, geometry and places together.
        heads: Each head's own (B, D_head) float32 embedding, L2-normalised.
    """

    merged: Tensor
    heads: dict[str, Tensor]

    def on(self, name: str) -> Tensor:
        """The embedding a loss stands on: `merged`, or a head's by its name."""
        return self.merged if name == "merged" else self.heads[name]


class Head(nn.Module):
    """Attention, pooling, standardisation, projection: one map to one vector."""

    def __init__(self, channels: int, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec
        self.attention = ATTENTION[spec.attention](channels)
        self.pool = POOLING[spec.pooling]
        self.projection = nn.Linear(channels, spec.dimensions)

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> what is projected, (B, C)."""
        return self._standardised(self.pool(self.attention(features)))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, D), of any length."""
        projected: Tensor = self.projection(self.pooled(features))
        return projected

    def places(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, H, W, D): every place's own vector, treated as the pooled one is."""
        projected: Tensor = self.projection(self._standardised(self.attention(features).permute(0, 2, 3, 1)))
        return projected

    def _standardised(self, vectors: Tensor) -> Tensor:
        """Vectors (..., C) -> (..., C), of mean 0 and variance 1 each if the head asks for it."""
        return F.layer_norm(vectors, vectors.shape[-1:]) if self.spec.layer_norm else vectors


class MultiHead(nn.Module):
    """All heads of a method over the trunk's two maps."""

    def __init__(self, channels: tuple[int, int], method: Method) -> None:
        super().__init__()
        self.method = method
        shallow, deep = channels
        self.heads = nn.ModuleDict(
            {name: Head(deep if spec.tap == "deep" else shallow, spec) for name, spec in method.heads.items()}
        )

    def tapped(self, name: str, shallow: Tensor, deep: Tensor) -> Tensor:
        """Which of the two maps a head reads."""
        return deep if self.method.heads[name].tap == "deep" else shallow

    def forward(self, shallow: Tensor, deep: Tensor) -> Embeddings:
        """Shallow map (B, C1, H1, W1) and deep map (B, C2, H2, W2) -> embeddings."""
        parts, heads = [], {}
        for name, spec in self.method.heads.items():
            vector = self.heads[name](self.tapped(name, shallow, deep)).float()  # so are the lengths, whatever autocast says
            heads[name] = F.normalize(vector, dim=1)
            parts.append(vector if spec.weight is None else spec.weight * heads[name])
        return Embeddings(F.normalize(torch.cat(parts, dim=1), dim=1), heads)


class RetrievalNetwork(nn.Module):
    """The trunk and its heads."""

    def __init__(self, trunk: Trunk, heads: MultiHead) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads

    def forward(self, *inputs: Tensor) -> Embeddings:
        """Embeddings of a batch.

        Args:
            inputs: Either pictures (B, 3, S, S) as `model.data.pictures.normalise` leaves them, or the shallow and the deep map
                that the trunk made of them before.
        """
        maps = self.trunk(*inputs) if len(inputs) == 1 else inputs
        embeddings: Embeddings = self.heads(*maps)
        return embeddings


def untrained_embedding(deep: Tensor) -> Tensor:
    """What the trunk finds alike before anything is trained: its deep map averaged over places, (B, C2), L2-normalised."""
    return F.normalize(deep.mean(dim=(2, 3)), dim=1)

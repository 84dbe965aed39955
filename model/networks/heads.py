"""The heads, and the network that joins them to the trunk: claims 1, 3, 5 to 8, 12 and 21."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.architecture import Architecture, HeadSpec
from model.networks.attention import ATTENTION
from model.networks.autoencoder import AttentiveAutoencoder
from model.networks.pooling import POOLING, pooled_channels
from model.networks.projection import Projection
from model.networks.trunk import Trunk


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a batch.

    Attributes:
        merged: (B, D) float32, L2-normalised: the vectors of all heads together.
        heads: (B, D_head) float32, L2-normalised, for each head.
        local: Outputs of the autoencoder in training, where there is one.
    """

    merged: Tensor
    heads: dict[str, Tensor]
    local: dict[str, Tensor] = field(default_factory=dict)

    def on(self, name: str) -> Tensor:
        """The embedding that a loss term reads: `merged`, a head, an autoencoder output, or `heads` for all (M, B, D_head)."""
        if name == "heads":
            return torch.stack(list(self.heads.values()))
        return self.merged if name == "merged" else (self.heads | self.local)[name]


class Head(nn.Module):
    """One head: attention, reduction, pooling, standardisation and projection of one map to one vector."""

    def __init__(self, channels: int, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec
        self.attention = ATTENTION[spec.attention](channels)
        self.reduction = nn.Conv2d(channels, spec.channels, 1) if spec.channels else nn.Identity()
        self.pool = POOLING[spec.pooling]
        self.projection = Projection(pooled_channels(spec.pooling, spec.channels or channels), spec.dimensions)

    def attended(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> the map after attention and reduction, (B, C', H, W)."""
        reduced: Tensor = self.reduction(self.attention(features))
        return reduced

    def pooled(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> the pooled vector before the projection, (B, P)."""
        return self._pooled(self.attended(features))

    def projected(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> the projected vector without the projection's residual, (B, D)."""
        return self.projection.project(self.pooled(features))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, D), not normalised."""
        return self.projection.adapt(self.projected(features))

    def local_vectors(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> one vector for each position, (B, H, W, D), as if the position were a whole map."""
        positions = self.attended(features).permute(0, 2, 3, 1)  # (B, H, W, C')
        projected: Tensor = self.projection(self._pooled(positions.flatten(0, 2)[:, :, None, None]))
        return projected.unflatten(0, positions.shape[:3])

    def local_descriptors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) -> descriptors (B, H, W, D), L2-normalised, and their scores (B, H, W), in [0, 1].

        The score of a position is the cosine similarity of its descriptor and the head's embedding of the whole image, mapped
        from [-1, 1] to [0, 1]. It prefers the object of the image to its background.
        """
        descriptors = F.normalize(self.local_vectors(features), dim=-1)
        similarity = torch.einsum("bhwd,bd->bhw", descriptors, F.normalize(self(features), dim=1))
        return descriptors, (1 + similarity) / 2

    def _pooled(self, features: Tensor) -> Tensor:
        vectors = self.pool(features)
        return F.layer_norm(vectors, vectors.shape[-1:]) if self.spec.layer_norm else vectors


class MultiHead(nn.Module):
    """All heads of an architecture over the trunk's two maps.

    Attributes:
        weights: (heads,) weight of each head in the merged vector. A stored buffer, because training may choose it.
    """

    weights: Tensor

    def __init__(self, channels: tuple[int, int], architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        shallow, deep = channels
        self.heads = nn.ModuleDict(
            {name: Head(deep if spec.tap == "deep" else shallow, spec) for name, spec in architecture.heads.items()}
        )
        shared: dict[str, nn.Module] = {}
        for name, spec in architecture.heads.items():
            if spec.shared:
                self.head(name).projection = shared.setdefault(spec.shared, self.head(name).projection)  # type: ignore[assignment]
        self.autoencoder = AttentiveAutoencoder(shallow) if architecture.autoencoder else None
        self.register_buffer("weights", torch.tensor(list(architecture.weights.values())))
        self.widths = {"merged": architecture.dimensions, "attended": shallow}
        self.widths |= {name: spec.dimensions for name, spec in architecture.heads.items()}

    def head(self, name: str) -> Head:
        """A head by its name."""
        head = self.heads[name]
        assert isinstance(head, Head)  # noqa: S101  # for the type checker: nothing else is put there
        return head

    def named_heads(self) -> Iterator[tuple[str, Head]]:
        """The heads, in the order of the merged vector."""
        return ((name, self.head(name)) for name in self.architecture.heads)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the weight of each head in the merged vector, by name."""
        self.weights.copy_(torch.tensor([weights[name] for name in self.architecture.heads]))

    def train_residuals(self) -> None:
        """Train the projections relative to their init from now on."""
        for _, head in self.named_heads():
            head.projection.train_residual()

    def fold_residuals(self) -> None:
        """Fold what was trained relative to the init into the projections."""
        for _, head in self.named_heads():
            head.projection.fold()

    @property
    def named_weights(self) -> dict[str, float]:
        """The weight of each head in the merged vector, by name."""
        return {name: round(weight, 4) for name, weight in zip(self.architecture.heads, self.weights.tolist(), strict=True)}

    def tapped(self, name: str, shallow: Tensor, deep: Tensor) -> Tensor:
        """The map that a head reads."""
        return deep if self.architecture.heads[name].tap == "deep" else shallow

    def forward(self, shallow: Tensor, deep: Tensor) -> Embeddings:
        """Shallow map (B, C1, H1, W1) and deep map (B, C2, H2, W2) -> embeddings."""
        vectors = {name: head(self.tapped(name, shallow, deep)) for name, head in self.named_heads()}
        local = self.autoencoder(shallow.detach()) if self.autoencoder is not None and self.training else {}
        return self._embeddings(vectors, local)

    def projected(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """The heads' projected vectors without the residuals of their projections, side by side, (B, D)."""
        return torch.cat([head.projected(self.tapped(name, shallow, deep)) for name, head in self.named_heads()], dim=1)

    def adapted(self, projected: Tensor) -> Embeddings:
        """What `projected` returned, (B, D) -> the same embeddings as those of the maps."""
        parts = projected.split([spec.dimensions for spec in self.architecture.heads.values()], dim=1)
        return self._embeddings(
            {name: head.projection.adapt(part) for (name, head), part in zip(self.named_heads(), parts, strict=True)}, {}
        )

    def _embeddings(self, vectors: dict[str, Tensor], local: dict[str, Tensor]) -> Embeddings:
        vectors = {name: vector.float() for name, vector in vectors.items()}  # normalise in float32, also under autocast
        heads = {name: F.normalize(vector, dim=1) for name, vector in vectors.items()}
        return Embeddings(self.merge(vectors), heads, local)

    def merge(self, vectors: dict[str, Tensor]) -> Tensor:
        """Each head's (B, D_head), not normalised -> the merged vector (B, D), L2-normalised: claim 21."""
        weighted = [
            weight * (vectors[name] if spec.weight is None else F.normalize(vectors[name], dim=1))
            for (name, spec), weight in zip(self.architecture.heads.items(), self.weights, strict=True)
        ]
        return F.normalize(torch.cat(weighted, dim=1), dim=1)


class RetrievalNetwork(nn.Module):
    """The trunk and its heads."""

    def __init__(self, trunk: Trunk, heads: MultiHead) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads

    def forward(self, *inputs: Tensor) -> Embeddings:
        """Embeddings of a batch.

        Args:
            inputs: Images (B, 3, S, S), normalised by `model.data.images.normalise`; or the trunk's shallow and deep map of such
                images; or the vectors (B, D) of `MultiHead.projected`.
        """
        if inputs[0].ndim == 2:
            return self.heads.adapted(*inputs)
        maps = self.trunk(*inputs) if len(inputs) == 1 else inputs
        embeddings: Embeddings = self.heads(*maps)
        return embeddings


def untrained_embedding(deep: Tensor) -> Tensor:
    """The embedding of an untrained network: the trunk's deep map averaged over all positions, (B, C2), L2-normalised."""
    return F.normalize(deep.mean(dim=(2, 3)), dim=1)


class UntrainedHead(nn.Module):
    """A head without parameters: `untrained_embedding`."""

    def forward(self, _: Tensor, deep: Tensor) -> Embeddings:
        """Shallow map, unused, and deep map (B, C2, H2, W2) -> embeddings."""
        return Embeddings(untrained_embedding(deep), {})


def untrained_network(trunk: Trunk) -> RetrievalNetwork:
    """The trunk with an `UntrainedHead`: the baseline that every training is compared with."""
    return RetrievalNetwork(trunk, UntrainedHead())  # type: ignore[arg-type]  # evaluated, never trained or stored

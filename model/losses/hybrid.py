"""A method's loss: the weighted sum of its terms, each on the merged embedding, on a head's or on all (claims 2, 11 and 20)."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    MultiSimilarityLoss,
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    TripletMarginLoss,
)
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn

from model.losses.divergence import Divergence
from model.losses.second_order_similarity import SecondOrderSimilarity, TripletLoss
from model.networks.heads import Embeddings
from model.networks.methods import LossSpec


class HybridLoss(nn.Module):
    """The weighted sum of loss terms. Proxies and classifiers, one row a class, are its only parameters.

    Args:
        specs: The terms.
        widths: Length of what each term stands on, by its name: `MultiHead.widths`.
        classes: Classes that are trained.
    """

    def __init__(self, specs: Sequence[LossSpec], widths: dict[str, int], classes: int) -> None:
        super().__init__()
        self.specs = tuple(specs)
        self.terms = nn.ModuleList(TERMS[spec.name](classes, widths.get(spec.on, 0)) for spec in specs)

    def forward(self, embeddings: Embeddings, labels: Tensor) -> Tensor:
        """Embeddings of a batch and its labels (B,) in [0, classes) -> the loss, a scalar."""
        total = embeddings.merged.new_zeros(())
        for spec, term in zip(self.specs, self.terms, strict=True):
            total = total + spec.weight * term(embeddings.on(spec.on), labels)
        return total

    @property
    def proxied(self) -> tuple[str, ...]:
        """The embeddings that proxies stand beside."""
        return tuple({spec.on: None for spec, term in zip(self.specs, self.terms, strict=True) if _proxies(term) is not None})

    @torch.no_grad()
    def place_proxies(self, means: dict[str, Tensor]) -> None:
        """Start every class's proxy at the mean embedding of its images, proxies as long as they were on average.

        Args:
            means: By what a loss stands on, (classes, D).
        """
        for spec, term in zip(self.specs, self.terms, strict=True):
            proxies = _proxies(term)
            if proxies is not None:
                proxies.copy_(F.normalize(means[spec.on], dim=1) * proxies.norm(dim=1).mean())


def _proxies(term: nn.Module) -> Tensor | None:
    """A term's proxies, (classes, D), where it has any: a view of its parameter."""
    if isinstance(term, ProxyAnchorLoss):
        return term.proxies.data
    return term.W.data.T if isinstance(term, ArcFaceLoss | NormalizedSoftmaxLoss) else None


class ArcFace(ArcFaceLoss):
    """ArcFace with DELG's margin of 0.1 radians and a scale that learns, from sqrt(2048) (Cao et al., ECCV 2020, section 4.1)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes, width, margin=math.degrees(0.1))
        del self.scale  # type: ignore[has-type]
        self.scale = nn.Parameter(torch.tensor(math.sqrt(2048)))


class Softmax(nn.Module):
    """Cross-entropy of a linear classifier."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, classes)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Vectors (B, D) and labels (B,) -> a scalar."""
        return F.cross_entropy(self.classifier(vectors), labels)


class BatchHard(nn.Module):
    """Soft-margin triplet loss, each image with its furthest like and its nearest unlike one (Hermans et al., 2017; SONA's)."""

    def __init__(self) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False)
        self.miner, self.loss = BatchHardMiner(distance=distance), TripletMarginLoss(0.0, smooth_loss=True, distance=distance)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (B, D) and labels (B,) -> a scalar."""
        loss: Tensor = self.loss(vectors, labels, self.miner(vectors, labels))
        return loss


class Mean(nn.Module):
    """The mean of what is an error already."""

    def forward(self, errors: Tensor, labels: Tensor) -> Tensor:
        """Errors (B,) -> a scalar. Labels are not looked at."""
        return errors.mean()


TERMS: dict[str, Callable[[int, int], nn.Module]] = {
    # alpha 2, beta 50, threshold 0.5: X. Wang et al., CVPR 2019
    "multi_similarity": lambda classes, width: MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
    # alpha 32, margin 0.1, one proxy a class: S. Kim et al., CVPR 2020
    "proxy_anchor": lambda classes, width: ProxyAnchorLoss(classes, width, margin=0.1, alpha=32),
    # positives at no distance, negatives at a squared distance of 1: ABE's, W. Kim et al., ECCV 2018; each averaged on their own
    "contrastive": lambda classes, width: ContrastiveLoss(0, 1, distance=LpDistance(normalize_embeddings=False, power=2)),
    "divergence": lambda classes, width: Divergence(),
    "arcface": ArcFace,
    "softmax": Softmax,
    "reconstruction": lambda classes, width: Mean(),
    "triplet": lambda classes, width: TripletLoss(),
    "second_order_similarity": lambda classes, width: SecondOrderSimilarity(),
    # cosine classifier at temperature 0.05: Zhai and Wu, BMVC 2019
    "normalized_softmax": lambda classes, width: NormalizedSoftmaxLoss(classes, width, temperature=0.05),
    "batch_hard": lambda classes, width: BatchHard(),
}
"""Loss terms by name, each made for a number of classes and the length of what it stands on."""

"""The hybrid loss: pairwise and proxy-based, on each head's embedding and on the merged one (claims 2, 11 and 20)."""

import torch.nn.functional as F
from pytorch_metric_learning.losses import MultiSimilarityLoss, ProxyAnchorLoss
from torch import Tensor, nn

from model.networks.heads import Embeddings
from model.networks.methods import LossSpec, Method


class HybridLoss(nn.Module):
    """The weighted sum of a method's loss terms.

    Multi-Similarity: alpha 2, beta 50, threshold 0.5 (X. Wang et al., CVPR 2019). Proxy Anchor: alpha 32, margin 0.1, one proxy
    a class (S. Kim et al., CVPR 2020). The proxies are this module's only parameters.
    """

    def __init__(self, method: Method, classes: int) -> None:
        super().__init__()
        self.specs = method.losses
        dimensions = {"merged": method.dimensions} | {name: head.dimensions for name, head in method.heads.items()}
        self.terms = nn.ModuleList(_term(spec, classes, dimensions[spec.on]) for spec in method.losses)

    def forward(self, embeddings: Embeddings, labels: Tensor) -> Tensor:
        """Embeddings of a batch and its labels (B,) in [0, classes) -> the loss, a scalar."""
        total = embeddings.merged.new_zeros(())
        for spec, term in zip(self.specs, self.terms, strict=True):
            total = total + spec.weight * term(embeddings.on(spec.on), labels)
        return total

    def place_proxies(self, means: dict[str, Tensor]) -> None:
        """Start every class's proxy at the mean embedding of its pictures.

        Args:
            means: By what a loss stands on, (classes, D).
        """
        for spec, term in zip(self.specs, self.terms, strict=True):
            if isinstance(term, ProxyAnchorLoss):
                term.proxies.data.copy_(F.normalize(means[spec.on], dim=1) * term.proxies.norm(dim=1).mean())


def _term(spec: LossSpec, classes: int, dimensions: int) -> nn.Module:
    if spec.name == "multi_similarity":
        return MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
    return ProxyAnchorLoss(classes, dimensions, margin=0.1, alpha=32)

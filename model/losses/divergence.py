"""ABE's divergence loss: the learners of an ensemble should embed one image differently."""

import torch
from torch import Tensor, nn


class Divergence(nn.Module):
    """The mean over images of the sum over learners p < q of max(0, margin - ||B_p(x) - B_q(x)||^2).

    W. Kim et al., Attention-based Ensemble for Deep Metric Learning, ECCV 2018, equation 8. The gradient is zero where two
    learners agree exactly, so the learners' masks have to start apart.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, learners: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of M learners (M, B, D), L2-normalised -> a scalar. The labels are not used."""
        first, second = torch.triu_indices(len(learners), len(learners), offset=1, device=learners.device)
        distance = (learners[first] - learners[second]).square().sum(dim=2)  # (pairs, B)
        return (self.margin - distance).clamp_min(0).sum(dim=0).mean()

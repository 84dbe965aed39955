"""SAN's second-order channel attention."""

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-12
"""Least value of a covariance's trace, so that a constant map causes no division by zero."""


class SecondOrderChannelAttention(nn.Module):
    """Every channel of the map is scaled by a factor that depends on its covariance with all channels.

    y = x * sigmoid(W2 relu(W1 s)). s holds the row means of the square root of the channels' covariance; W1 reduces the number
    of channels and W2 restores it (Dai et al., SAN, CVPR 2019, section 3.3).

    A sigmoid never reaches 1, so the block cannot be initialised as the exact identity. The paper leaves the init of W2 open:
    here its weights are 0 and its bias is 3, so all channels are scaled by the same 0.95, which is the identity after
    normalisation. A larger bias would be closer to 1 and would leave the sigmoid without a useful gradient.
    """

    def __init__(self, channels: int, reduction: int = 16, steps: int = 5) -> None:
        super().__init__()
        inner = max(4, channels // reduction)  # the paper's width; a single inactive ReLU would never learn
        self.steps = steps
        self.squeeze = nn.Conv2d(channels, inner, 1)
        self.excite = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.excite.weight)
        nn.init.constant_(self.excite.bias, 3.0)  # type: ignore[arg-type]  # made with a bias above

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, C, H, W)."""
        rows = covariance_root(features, self.steps).mean(dim=2).to(features.dtype)  # (B, C)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(rows[:, :, None, None]))))
        return features * gate


def covariance_root(features: Tensor, steps: int = 5) -> Tensor:
    """Features (B, C, H, W) -> the square root of their channels' covariance, (B, C, C), zero for a constant map.

    The covariance A over HW positions is divided by its trace, so that Newton-Schulz converges, and the root is multiplied by
    sqrt(trace) (Li et al., iSQRT-COV, CVPR 2018, section 3.2). With X the centred map over sqrt(HW), A is X X^T and shares its
    trace and its nonzero eigenvalues with X^T X. Every iterate is a polynomial in A, so Y = A Z(A) equals X Z(X^T X) X^T, and the
    steps are taken on the smaller of the two: 25 x 25 for 320 channels of 5 x 5 positions. The steps run in float32 or higher
    also under autocast, because they square rounding errors.
    """
    with torch.autocast(features.device.type, enabled=False):
        positions = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
        positions = (positions - positions.mean(dim=2, keepdim=True)) * positions.shape[2] ** -0.5
        wide = positions.shape[1] > positions.shape[2]
        small = positions.mT @ positions if wide else positions @ positions.mT
        trace = small.diagonal(dim1=1, dim2=2).sum(dim=1).clamp_min(SMALLEST_VARIANCE)[:, None, None]
        root, inverse = newton_schulz(small / trace, steps)
        return positions @ inverse @ positions.mT / trace.sqrt() if wide else root * trace.sqrt()


def newton_schulz(matrix: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Symmetric matrices (B, n, n) with eigenvalues in [0, 1] -> approximate square roots and their inverses.

    From Y = A and Z = I: T = (3 I - Z Y) / 2, Y = Y T, Z = T Z (Higham, Functions of Matrices, 2008, chapter 6).
    """
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix, identity.expand_as(matrix)
    for _ in range(steps):
        factor = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ factor, factor @ inverse
    return root, inverse

"""Second-order channel attention: SAN's."""

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-12
"""What a covariance's trace counts for at least, so that a constant map divides by something."""


class SecondOrderChannelAttention(nn.Module):
    """Every channel of the map is scaled by how it varies together with all others.

    y = x * sigmoid(W2 relu(W1 s)), with s the row means of the square root of the channels' covariance, and W1 and W2 a
    squeeze and its undoing (Dai et al., SAN, CVPR 2019, section 3.3).

    A sigmoid never says 1, so the block cannot start as the identity itself. The paper leaves the start of W2 free: its weights
    start at zero and its bias at 3, so that all channels start with the same 0.95. That scales the map and turns nothing:
    after normalisation it is the identity. A larger bias would come closer, and flatten the sigmoid it has to be trained through.
    """

    def __init__(self, channels: int, reduction: int = 16, steps: int = 5) -> None:
        super().__init__()
        inner = max(4, channels // reduction)  # the paper's own width; a single ReLU would be off for good where it starts off
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

    The covariance A over HW places is divided by its trace, which puts its eigenvalues where Newton-Schulz converges, and the
    root multiplied by sqrt(trace) (Li et al., iSQRT-COV, CVPR 2018, section 3.2). With X the centred map over sqrt(HW), A is
    X X^T and shares its trace and all eigenvalues but zeros with X^T X; as every iterate is a polynomial in A, Y = A Z(A) is
    also X Z(X^T X) X^T. So the steps are taken on whichever of the two is smaller: 25 x 25 for 320 channels of 5 x 5 places.
    Never below float32, whatever autocast says: the steps square what is rounded.
    """
    with torch.autocast(features.device.type, enabled=False):
        places = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
        places = (places - places.mean(dim=2, keepdim=True)) * places.shape[2] ** -0.5
        wide = places.shape[1] > places.shape[2]
        small = places.mT @ places if wide else places @ places.mT
        trace = small.diagonal(dim1=1, dim2=2).sum(dim=1).clamp_min(SMALLEST_VARIANCE)[:, None, None]
        root, inverse = newton_schulz(small / trace, steps)
        return places @ inverse @ places.mT / trace.sqrt() if wide else root * trace.sqrt()


def newton_schulz(matrix: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Matrices (B, n, n), symmetric, eigenvalues in [0, 1] -> what nears their square root, and its inverse, by multiplying only.

    From Y = A and Z = I: T = (3 I - Z Y) / 2, Y = Y T, Z = T Z (Higham, Functions of Matrices, 2008, chapter 6).
    """
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix, identity.expand_as(matrix)
    for _ in range(steps):
        turn = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ turn, turn @ inverse
    return root, inverse

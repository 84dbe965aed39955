"""The projection of a head, whose training may be relative to its init."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Linear):
    """A linear layer W x + b that is trained directly, or relative to its init as (I + A)(W x + b) with A from zero.

    The rows and columns of a whitening differ in scale by orders of magnitude, so steps of one size on W destroy it on the
    weak ones. A acts on whitened vectors, where all directions have the same scale. Its weight decay is a decay towards the init.

    Attributes:
        residual: A, (dimensions, dimensions), in a training relative to the init; otherwise None.
    """

    residual: nn.Parameter | None

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__(channels, dimensions)
        self.register_parameter("residual", None)

    def train_residual(self) -> None:
        """Train A from zero from now on, and W and b no more."""
        if self.residual is None:
            size = self.out_features
            self.residual = nn.Parameter(torch.zeros(size, size, device=self.weight.device, dtype=self.weight.dtype))
        self.weight.requires_grad_(False)
        self.bias.requires_grad_(False)

    @torch.no_grad()
    def fold(self) -> None:
        """Multiply I + A into W and b; A is gone."""
        if self.residual is None:
            return
        total = torch.eye(self.out_features, dtype=torch.float64) + self.residual.double().cpu()
        self.weight.copy_((total @ self.weight.double().cpu()).float())
        self.bias.copy_((total @ self.bias.double().cpu()).float())
        self.residual = None

    def project(self, vectors: Tensor) -> Tensor:
        """Vectors (B, P) -> W x + b, (B, D)."""
        return F.linear(vectors, self.weight, self.bias)

    def adapt(self, projected: Tensor) -> Tensor:
        """W x + b, (B, D) -> (I + A)(W x + b), (B, D)."""
        return projected if self.residual is None else projected + F.linear(projected, self.residual)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (B, P) -> (B, D)."""
        return self.adapt(self.project(vectors))

"""The closed-form init of the heads: their projections whiten the trunk's features.

Variation *within* the training classes (light, viewpoint, background) is noise for retrieval. One pass over the training images
gives a projection in closed form that scales these directions down, and training improves on it. This is the discriminative
projection of Mikolajczyk and Matas (ICCV 2007), used for retrieval by Radenovic et al. (TPAMI 2018). Along a whitened axis the
noise has variance 1, and what exceeds it is the classes' share: axes are weighed by that share, as probabilistic linear
discriminant analysis weighs them (Ioffe, ECCV 2006).
"""

from collections.abc import Callable, Iterable

import torch
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor, nn

from model.errors import InvalidInput
from model.networks.heads import MultiHead

SHRINKAGE = 0.3
"""Least share of the mean variance in the within-class scatter. It limits the scale of directions that few images show."""
FEW = 0.5
"""Images for each dimension below which a covariance is shrunk as far as Ledoit and Wolf say. Above it, `SHRINKAGE` is as good
(docs/decisions/0003-multi-head.md)."""
NOISE = 0.5
"""Variance along a whitened axis that is taken for noise. It is below 1, because `SHRINKAGE` lowers the variance of weak axes."""


class ClassStatistics:
    """Counts, sums and the second moment of vectors by class. The memory does not grow with the number of vectors.

    While they are few, the vectors themselves are kept: in less room than the second moment takes.
    """

    def __init__(self, classes: int, dimensions: int) -> None:
        self._few: list[tuple[Tensor, Tensor]] | None = []
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.sums = torch.zeros(classes, dimensions, dtype=torch.float64)
        self.moment = torch.zeros(dimensions, dimensions, dtype=torch.float64)

    def add(self, vectors: Tensor, labels: Tensor) -> None:
        """Add vectors (B, D) of classes (B,)."""
        vectors = vectors.detach().double().cpu()
        self.counts.index_add_(0, labels, torch.ones(len(labels), dtype=torch.float64))
        self.sums.index_add_(0, labels, vectors)
        self.moment.addmm_(vectors.T, vectors)
        if self._few is not None:
            self._few.append((vectors, labels))
            if self.counts.sum() >= FEW * vectors.shape[1]:
                self._few = None

    @property
    def shrinkage(self) -> tuple[float, float]:
        """Shares of the mean variance to put into `within` and into `total`.

        For few vectors, those that bring the estimates nearest to the true covariances (Ledoit and Wolf, A well-conditioned
        estimator for large-dimensional covariance matrices, Journal of Multivariate Analysis, 2004). In `total` they stand for
        the directions in which other classes differ though these do not.
        """
        if not self._few:
            return SHRINKAGE, 0.0
        vectors, labels = (torch.cat(parts) for parts in zip(*self._few, strict=True))
        within, total = (
            float(ledoit_wolf_shrinkage((vectors - mean).numpy(), assume_centered=True))
            for mean in (self.means[labels], self.mean)
        )
        return max(SHRINKAGE, within), total

    @property
    def means(self) -> Tensor:
        """(classes, D): the mean of each class."""
        return self.sums / self.counts.clamp(min=1)[:, None]

    @property
    def mean(self) -> Tensor:
        """(D,): the mean of all vectors."""
        return self.sums.sum(0) / self.counts.sum()

    @property
    def within(self) -> Tensor:
        """(D, D): the covariance of the vectors about their class means."""
        return (self.moment - self.means.T @ (self.counts[:, None] * self.means)) / self.counts.sum()

    @property
    def total(self) -> Tensor:
        """(D, D): the covariance of the vectors about the mean of all vectors."""
        return self.moment / self.counts.sum() - torch.outer(self.mean, self.mean)


def whitening(statistics: ClassStatistics, dimensions: int) -> tuple[Tensor, Tensor]:
    """The projection W, b on the axes of largest variance after W made the covariance within classes the identity.

    Both covariances are shrunk, as `ClassStatistics.shrinkage` says. An axis of total variance e is scaled by
    sqrt((e - NOISE) / e), or by 0 if its variance is not above the noise.

    Args:
        statistics: Statistics of the vectors to project, (D,) each.
        dimensions: Rows of W. Rows beyond D are zero.

    Returns:
        W (dimensions, D) and b (dimensions,), float32, scaled so that projected vectors of the estimated covariance have a mean
        squared length of 1.

    Raises:
        InvalidInput: A vector is not finite.
    """
    size = len(statistics.mean)
    if not bool(torch.isfinite(statistics.moment).all()):
        raise InvalidInput("The trunk's feature maps are not finite.", "Use other weights or another trunk: model.trunk.")
    within = statistics.within
    unit = within.diagonal().mean().clamp(min=1e-12)
    share, share_of_total = statistics.shrinkage
    scatter = _shrunk(within / unit, share, 1.0)
    kept = min(dimensions, size)
    largest = [size - kept, size - 1]
    # The axes v with total v = e scatter v, and v^T scatter v = 1, those of the largest e alone. Shrinkage bounds the scatter's
    # condition, so float32 is exact enough: on second moments of groceries e differs by less than 1e-5 of itself.
    total = statistics.total / unit
    total = _shrunk(total, share_of_total, float(total.diagonal().mean()))
    found = eigh(total.float().numpy(), scatter.float().numpy(), subset_by_index=largest, driver="gvx")
    variance, axes = (torch.from_numpy(array).double().flip(-1) for array in found)
    axes /= unit.sqrt()
    signal = (variance - NOISE).clamp(min=0)
    projection = torch.zeros(dimensions, size, dtype=torch.float64)
    projection[:kept] = (signal / variance.clamp(min=1e-12)).sqrt()[:, None] * axes.T
    projection /= signal.sum().sqrt().clamp(min=1e-12)
    return projection.float(), -(projection @ statistics.mean).float()


def _shrunk(covariance: Tensor, share: float, variance: float) -> Tensor:
    """A covariance (D, D) in which a share is that of equal and independent axes."""
    return (1 - share) * covariance + share * variance * torch.eye(len(covariance), dtype=torch.float64)


@torch.no_grad()
def whiten_heads(heads: MultiHead, batches: Callable[[], Iterable[tuple[Tensor, Tensor, Tensor]]], classes: int) -> None:
    """Set every head's reduction to the principal axes of its map, and its projection to the whitening of its pooled features.

    Args:
        heads: Heads, which are changed in place.
        batches: Called for each pass over the training images: shallow map, deep map and labels (B,) of every image once.
        classes: Number of training classes.
    """
    heads.eval()
    _reduce(heads, batches)
    statistics: dict[nn.Module, ClassStatistics] = {}  # by projection: heads with a shared projection are whitened together
    for shallow, deep, labels in batches():
        for name, head in heads.named_heads():
            pooled = head.pooled(heads.tapped(name, shallow, deep))
            statistics.setdefault(head.projection, ClassStatistics(classes, pooled.shape[1])).add(pooled, labels)
    for _, head in heads.named_heads():
        weight, bias = whitening(statistics[head.projection], head.projection.out_features)
        head.projection.weight.copy_(weight)
        head.projection.bias.copy_(bias)


def _reduce(heads: MultiHead, batches: Callable[[], Iterable[tuple[Tensor, Tensor, Tensor]]]) -> None:
    """Set every head's reduction, where there is one, to the principal axes of the positions of its map."""
    reductions = {name: part for name, head in heads.named_heads() if isinstance(part := head.reduction, nn.Conv2d)}
    if not reductions:
        return
    statistics: dict[str, ClassStatistics] = {}
    for shallow, deep, _ in batches():
        for name in reductions:
            positions = heads.head(name).attention(heads.tapped(name, shallow, deep)).permute(0, 2, 3, 1).flatten(0, 2)
            of_head = statistics.setdefault(name, ClassStatistics(1, positions.shape[1]))
            of_head.add(positions, torch.zeros(len(positions), dtype=torch.int64))
    for name, reduction in reductions.items():
        weight, bias = principal_axes(statistics[name], reduction.out_channels)
        reduction.load_state_dict({"weight": weight[:, :, None, None], "bias": bias})


def principal_axes(statistics: ClassStatistics, dimensions: int) -> tuple[Tensor, Tensor]:
    """The projection W, b onto the axes of largest variance: W x + b has mean 0, and variance 1 on average over the axes.

    The axes keep the ratio of their variances. Equal variances were measured to be worse, because weak axes then dominate: see
    docs/decisions/0003-multi-head.md.

    Args:
        statistics: Statistics of the vectors, (D,) each.
        dimensions: Rows of W. Rows beyond D are zero.

    Returns:
        W (dimensions, D) and b (dimensions,), float32.
    """
    spread, axes = torch.linalg.eigh(statistics.total)
    kept = min(dimensions, len(spread))
    projection = torch.zeros(dimensions, len(spread), dtype=torch.float64)
    projection[:kept] = axes.flip(1)[:, :kept].T / spread.flip(0)[:kept].mean().clamp(min=1e-12).sqrt()
    return projection.float(), -(projection @ statistics.mean).float()

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
from torch import Tensor, nn

from model.errors import InvalidInput
from model.networks.heads import MultiHead
from model.training.class_statistics import ClassStatistics

NOISE = 0.5
"""Variance along a whitened axis that is taken for noise. It is below 1, because shrinkage lowers the variance of weak axes."""


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
    unit = statistics.within.diagonal().mean().clamp(min=1e-12)
    kept = min(dimensions, size)
    variance, axes = _axes(statistics, float(unit), kept)
    axes = axes / unit.sqrt()
    signal = (variance - NOISE).clamp(min=0)
    projection = torch.zeros(dimensions, size, dtype=torch.float64)
    projection[:kept] = (signal / variance.clamp(min=1e-12)).sqrt()[:, None] * axes.T
    projection /= signal.sum().sqrt().clamp(min=1e-12)
    return projection.float(), -(projection @ statistics.mean).float()


def _axes(statistics: ClassStatistics, unit: float, kept: int) -> tuple[Tensor, Tensor]:
    """The axes v with total v = e scatter v and v^T scatter v = 1, those of the largest e alone.

    Args:
        statistics: Statistics of vectors (D,).
        unit: Variance by which both covariances are divided.
        kept: Number of axes, at most D.

    Returns:
        e (kept,), descending, and the axes as columns (D, kept), float64.
    """
    share, share_of_total = statistics.shrinkage
    within, total = statistics.within / unit, statistics.total / unit
    spread = share_of_total * float(total.diagonal().mean())
    if (span := statistics.span) is None:
        return _largest(_shrunk(total, 1 - share_of_total, spread), _shrunk(within, 1 - share, share), kept)
    within, total = span.T @ within @ span, span.T @ total @ span
    inside = min(kept, span.shape[1])
    variance, axes = _largest(_shrunk(total, 1 - share_of_total, spread), _shrunk(within, 1 - share, share), inside)
    # Outside the span of few vectors both covariances are round, so that all axes there have the same e.
    round_ = spread / share
    first = int((variance > round_).sum())
    others = _outside(span, min(kept - first, len(span) - span.shape[1])) / share**0.5
    variances = (variance[:first], torch.full((others.shape[1],), round_, dtype=torch.float64), variance[first:])
    columns = (span @ axes[:, :first], others, span @ axes[:, first:])
    return torch.cat(variances)[:kept], torch.cat(columns, dim=1)[:, :kept]


def _largest(total: Tensor, scatter: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """The `kept` largest e and their axes. Shrinkage bounds the scatter's condition, so float32 is exact enough.

    On second moments of groceries e differs by less than 1e-5 of itself.
    """
    if kept == 0:
        return torch.zeros(0, dtype=torch.float64), torch.zeros(len(total), 0, dtype=torch.float64)
    indices = [len(total) - kept, len(total) - 1]
    found = eigh(total.float().numpy(), scatter.float().numpy(), subset_by_index=indices, driver="gvx")
    variance, axes = (torch.from_numpy(array).double().flip(-1) for array in found)
    return variance, axes


def _outside(span: Tensor, count: int) -> Tensor:
    """Some orthonormal axes (D, count) outside a span (D, R) of orthonormal columns, always the same ones."""
    drawn = torch.randn(len(span), count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # the second time for what rounding left
        drawn = torch.linalg.qr(drawn - span @ (span.T @ drawn))[0]
    return drawn


def _shrunk(covariance: Tensor, share: float, variance: float) -> Tensor:
    """A share of a covariance (D, D), and a variance added to every axis."""
    return share * covariance + variance * torch.eye(len(covariance), dtype=torch.float64)


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

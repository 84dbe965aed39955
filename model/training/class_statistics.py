"""Statistics of vectors by class: what the closed-form init is computed from."""

import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

SHRINKAGE = 0.3
"""Least share of the mean variance in the within-class scatter. It limits the scale of directions that few images show."""
FEW = 0.5
"""Images for each dimension below which a covariance is shrunk as far as Ledoit and Wolf say. Above it, `SHRINKAGE` is as good
(docs/decisions/0003-multi-head.md)."""


class ClassStatistics:
    """Counts, sums and the second moment of vectors by class. The memory does not grow with the number of vectors.

    While they are few, the vectors themselves are kept, in less room than the second moment takes.
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
        if self._few is None:
            return SHRINKAGE, 0.0
        vectors, labels = self._vectors
        within, total = (
            float(ledoit_wolf_shrinkage((vectors - mean).numpy(), assume_centered=True))
            for mean in (self.means[labels], self.mean)
        )
        return max(SHRINKAGE, within), total

    @property
    def span(self) -> Tensor | None:
        """(D, R): orthonormal columns that span few vectors about their mean; None for many vectors."""
        if self._few is None:
            return None
        vectors, _ = self._vectors
        _, lengths, axes = torch.linalg.svd(vectors - self.mean, full_matrices=False)
        return axes[lengths > 1e-9 * lengths.amax().clamp(min=1e-12)].T

    @property
    def _vectors(self) -> tuple[Tensor, Tensor]:
        """Few vectors (N, D) and their labels (N,)."""
        vectors, labels = (torch.cat(parts) for parts in zip(*(self._few or []), strict=True))
        return vectors, labels

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

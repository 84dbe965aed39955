"""Hard triplets of a batch, found in plain Python."""

import torch
import torch.nn.functional as F

LABELS = [0, 0, 0, 1, 1, 2]  # the last image is alone in its class: a negative only


def batch(seed: int = 0) -> torch.Tensor:
    """Embeddings (6, 3) float64 at unit length."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(len(LABELS), 3, generator=generator, dtype=torch.float64), dim=1)


def squared(one: torch.Tensor, other: torch.Tensor) -> float:
    return sum((a - b) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True))


def hard_triplets(vectors: torch.Tensor, labels: list[int]) -> set[tuple[int, int, int]]:
    """Of all triples with one anchor and one positive, that whose negative is nearest to the anchor."""
    rows = range(len(labels))
    return {
        min(
            ((a, p, n) for n in rows if labels[n] != labels[a]),
            key=lambda triple: squared(vectors[triple[0]], vectors[triple[2]]),
        )
        for a in rows
        for p in rows
        if a != p and labels[a] == labels[p]
    }

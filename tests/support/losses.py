"""Losses written out from their papers, pair by pair, in plain Python; and embeddings to compute them on."""

import math

import numpy as np
import torch
import torch.nn.functional as F

LABELS = [0, 0, 1, 1, 1, 2]
CLASSES = 4  # one of them has no image in the batch


def multi_similarity(vectors, labels, alpha=2.0, beta=50.0, threshold=0.5):
    """X. Wang et al., CVPR 2019, equation 15, over all pairs."""
    total = 0.0
    for i, one in enumerate(vectors):
        like = [one @ other for j, other in enumerate(vectors) if j != i and labels[j] == labels[i]]
        unlike = [one @ other for j, other in enumerate(vectors) if labels[j] != labels[i]]
        total += math.log(1 + sum(math.exp(-alpha * (s - threshold)) for s in like)) / alpha
        total += math.log(1 + sum(math.exp(beta * (s - threshold)) for s in unlike)) / beta
    return total / len(vectors)


def proxy_anchor(vectors, labels, proxies, alpha=32.0, delta=0.1):
    """S. Kim et al., CVPR 2020, equation 4."""
    pull = push = 0.0
    for label, proxy in enumerate(proxies / np.linalg.norm(proxies, axis=1, keepdims=True)):
        positives = [vector @ proxy for vector, own in zip(vectors, labels, strict=True) if own == label]
        negatives = [vector @ proxy for vector, own in zip(vectors, labels, strict=True) if own != label]
        pull += math.log(1 + sum(math.exp(-alpha * (s - delta)) for s in positives)) if positives else 0
        push += math.log(1 + sum(math.exp(alpha * (s + delta)) for s in negatives))
    return pull / len(set(labels)) + push / len(proxies)


def normalized_softmax(vectors, labels, columns):
    """A cosine classifier at temperature 0.05."""
    return softmax_loss(vectors @ (columns / np.linalg.norm(columns, axis=0)) / 0.05, labels)


def softmax_loss(logits, labels):
    """The mean cross-entropy of logits, image by image."""
    return np.mean([math.log(sum(np.exp(row - row[label]))) for row, label in zip(logits, labels, strict=True)])


def few(seed: int = 0) -> torch.Tensor:
    """Embeddings (6, 3) float64 at unit length."""
    return F.normalize(torch.randn(len(LABELS), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)

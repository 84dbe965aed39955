"""Galleries of drawn vectors: classes of unit vectors round a centre each."""

import numpy as np

from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery

SPACE = "0123456789abcdef"


def clustered(count: int, *, dimensions: int = 16, classes: int = 40, groups: bool = True, seed: int = 0) -> LocalGallery:
    """A gallery in memory; entry n is of class n % classes, and of group a, b or none in turn."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((classes, dimensions))
    labels = np.arange(count, dtype=np.int64) % classes
    vectors = (centres[labels] + 0.5 * random.standard_normal((count, dimensions))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    named = np.array(["a", "b", ""])[np.arange(count) % 3] if groups else None
    ids = [f"images/{number}.jpg" for number in range(count)]
    return LocalGallery(vectors, Entries.of(labels, ids, [f"class {number}" for number in range(classes)], named))

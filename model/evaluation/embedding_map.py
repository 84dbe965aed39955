"""A map of the embedding in two dimensions, by t-SNE (van der Maaten and Hinton, 2008): an illustration that measures nothing."""

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.data.spread import evenly, spread
from model.evaluation.contact_sheets import sheet_image
from model.evaluation.metrics import PerQuery
from model.schemas.illustrations import EmbeddingMap, MapClass

POINTS = 800
"""Most queries on the map."""
EXAMPLES = 40
"""Most classes for which an image is shown."""
_FEWEST = 10
_FLATTEST = 0.1
_SMALLEST, _PERPLEXITY = 5.0, 30.0


def embedding_map(vectors: NDArray[np.float32], manifest: Manifest, figures: PerQuery, seed: int = 0) -> EmbeddingMap | None:
    """Queries on a map, spread over the classes; None for fewer than ten. The same embeddings and seed give the same map.

    Args:
        vectors: (N, D) float32, L2-normalised, of the searched samples.
        manifest: Searched samples: the queries in the order of `figures`, then the distractors.
        figures: Figures of each query.
        seed: Seed of the sample and of the layout.
    """
    rows = np.sort(spread(figures.labels, POINTS, seed))
    if len(rows) < _FEWEST:
        return None
    places = _layout(vectors[rows], seed)
    classes = np.unique(figures.labels[rows])
    shown = set(classes[evenly(len(classes), EXAMPLES)].tolist())
    return EmbeddingMap(
        seed=seed,
        height=max(round(float(places[:, 1].max()), 4), _FLATTEST),
        classes=tuple(
            _map_class(vectors, manifest, figures, rows[mine], places[mine], label in shown)
            for label in classes.tolist()
            for mine in [figures.labels[rows] == label]
        ),
    )


def _layout(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Places (N, 2): from 0 to 1 along the larger extent, which lies horizontally, the other one to the same scale."""
    from sklearn.manifold import TSNE  # takes a second

    perplexity = min(_PERPLEXITY, max(_SMALLEST, len(vectors) / 20), (len(vectors) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(vectors).astype(np.float64)
    places -= places.min(axis=0)
    places = places[:, np.argsort(-places.max(axis=0), kind="stable")]
    return np.asarray(places / (places[:, 0].max() or 1))


def _map_class(
    vectors: NDArray[np.float32],
    manifest: Manifest,
    figures: PerQuery,
    rows: NDArray[np.int64],
    places: NDArray[np.float64],
    shown: bool,
) -> MapClass:
    middle = int(np.argmax(vectors[rows] @ vectors[rows].mean(axis=0)))
    central, (left, top) = int(rows[middle]), places[middle].round(4).tolist()
    right = figures.recall[rows, figures.ks.index(1)]
    return MapClass(
        name=manifest.classes[manifest.labels[central]],
        example=sheet_image(manifest, central) if shown else None,
        place=(left, top),
        points=tuple((round(x, 4), round(y, 4), bool(hit)) for (x, y), hit in zip(places.tolist(), right, strict=True)),
    )

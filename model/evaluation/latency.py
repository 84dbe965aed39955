"""The time of a query, measured so that other work on the machine has little influence.

Other work on the machine makes single queries slower and none faster. The gate therefore compares its budget with the fastest of
many queries. In addition each query is followed by a pass through the trunk alone, which the same work slows, so the ratio of the
two times depends little on the load.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from model.data.images import decode_image, normalise, resize
from model.data.manifest import Manifest
from model.retrieval.retriever import Retriever
from model.schemas.report import Latency

QUERIES = 20
_WARM_UP = 2
_NEIGHBOURS = 5


def measure_latency(retriever: Retriever, manifest: Manifest, *, clock: Callable[[], float] = time.perf_counter) -> Latency:
    """Measure the times of single queries, from an image's bytes to its neighbours, each followed by a pass through the trunk.

    Args:
        retriever: The model over its gallery.
        manifest: Samples to query with; the queries are spread evenly over them.
        clock: Clock in seconds.
    """
    queries, references = [], []
    for row in np.linspace(0, len(manifest) - 1, QUERIES + _WARM_UP).astype(int):
        data = (manifest.folder / str(manifest.paths[row])).read_bytes()
        queries.append(_milliseconds(clock, partial(_query, retriever, data)))
        references.append(_milliseconds(clock, _trunk_alone(retriever, data)))
    queries, references = queries[_WARM_UP:], references[_WARM_UP:]
    ratios = [query / reference for query, reference in zip(queries, references, strict=True)]
    return Latency(
        median_ms=round(statistics.median(queries), 3),
        fastest_ms=round(min(queries), 3),
        reference_ms=round(statistics.median(references), 3),
        ratio=round(statistics.median(ratios), 3),
        queries=len(queries),
    )


def _query(retriever: Retriever, data: bytes) -> object:
    return retriever.search([decode_image(data)], _NEIGHBOURS)


def _trunk_alone(retriever: Retriever, data: bytes) -> Callable[[], object]:
    """A function that passes an image, decoded beforehand, through the trunk."""
    trunk = retriever.network.trunk
    batch = normalise(resize(decode_image(data), retriever.image_size)[None], trunk.mean, trunk.std)
    batch = batch.to(next(trunk.parameters()).device)

    def forward() -> object:
        with torch.inference_mode():
            return [part.cpu() for part in trunk(batch)]

    return forward


def _milliseconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    started = clock()
    work()
    return (clock() - started) * 1000

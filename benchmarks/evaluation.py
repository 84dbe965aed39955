"""The memory of an evaluation, and its growth with the data.

    python -m benchmarks.evaluation --json     # 100,000 queries against 100,000 items

Drawn embeddings of the sizes of the untrained trunk's and of the default network's are evaluated one after the other, as
`model.evaluation.evaluate` does it: every figure with its interval, pairs, identification, the heads. Each size of the data has a
process of its own, whose peak resident memory is read. `resident_mb` has a limit of 2048; `beside_vectors_mb` is what is left of
it without the larger embeddings, and without what an evaluation of a hundred images takes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.evaluation.accept_rates import Accepted, accept_figures, identification, verification
from model.evaluation.figures import retrieval_figures
from model.evaluation.heads import compare_heads
from model.evaluation.metrics import PerQuery, as_embedded, evaluate_retrieval
from model.networks.methods import get_method

UNTRAINED, METHOD = 320, "multi_head"
"""Dimensions of the untrained trunk's embedding, and the method whose dimensions the other one has."""
LIMIT_MB = 2048
OF_CLASS = 10
"""Images of a class."""
_FEW = 100
_SAMPLES = 100
_BLOCK = 4096


def draw(items: int, dimensions: int) -> NDArray[np.float32]:
    """Embeddings (N, D) float32, L2-normalised, with `OF_CLASS` near one another each."""
    vectors = np.empty((items, dimensions), np.float32)
    random = np.random.default_rng(dimensions)
    centre = random.standard_normal(dimensions)
    for start in range(0, items, _BLOCK):
        classes = np.arange(start, min(items, start + _BLOCK)) // OF_CLASS
        means = np.stack([np.random.default_rng(int(each)).standard_normal(dimensions) for each in np.unique(classes)])
        block = means[classes - classes[0]] + random.standard_normal((len(classes), dimensions)) + 0.3 * centre
        vectors[start : start + _BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def table(items: int) -> Manifest:
    """Samples without images, all of the test classes."""
    labels = np.arange(items) // OF_CLASS
    classes = tuple(f"class-{label:06}" for label in range(int(labels.max()) + 1))
    none, paths = np.full(items, ""), np.array([f"{row:06}.jpg" for row in range(items)])
    return Manifest(Path(), paths, labels, np.full(items, "test"), np.full((items, 4), np.nan, np.float32), classes, none)


def answer(vectors: NDArray[np.float32], manifest: Manifest) -> tuple[PerQuery, Accepted, Accepted]:
    """Search every sample among all others, compare pairs, and identify."""
    found = evaluate_retrieval(vectors, manifest.labels, manifest.ids)
    return found, verification(as_embedded(vectors, manifest.labels, manifest.ids)), identification(found)


def evaluate(items: int) -> None:
    """Evaluate drawn embeddings of both networks."""
    manifest, architecture = table(items), get_method(METHOD).architecture
    untrained = answer(draw(items, UNTRAINED), manifest)
    vectors = draw(items, architecture.dimensions)
    candidate = answer(vectors, manifest)
    figures = retrieval_figures(manifest, candidate[0], untrained[0], samples=_SAMPLES)
    accept_figures(candidate[1], untrained[1], {}, figures.bootstrap, equal_error=True)
    accept_figures(candidate[2], untrained[2], {}, figures.bootstrap, equal_error=False)
    compare_heads(architecture, vectors, manifest, figures.bootstrap, {})


def measured(items: int) -> dict[str, float]:
    """Seconds and peak resident memory of a process that evaluates so many items."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.evaluation", "--measure", "--items", str(items)]
    peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])
    seconds = time.perf_counter() - began
    print(f"{items:,} queries against {items:,} items: {peak:.0f} MiB, {seconds:.0f} s", file=sys.stderr, flush=True)
    return {"resident_mb": round(peak, 1), "seconds": round(seconds, 1)}


def compare(items: int) -> dict[str, Any]:
    """The memory at `items`, at a tenth of them, and at a few."""
    sizes = {size: measured(size) for size in (_FEW, max(_FEW, items // 10), items)}
    dimensions = get_method(METHOD).architecture.dimensions
    least = sizes[_FEW]["resident_mb"]
    for size, row in sizes.items():
        row["beside_vectors_mb"] = round(row["resident_mb"] - least - size * dimensions * 4 / 2**20, 1)
    whole = {"queries": items, "items": items, "dimensions": dimensions, **sizes[items]}
    return {**whole, "limit_mb": LIMIT_MB, "within": whole["resident_mb"] < LIMIT_MB, "at_a_tenth": sizes[max(_FEW, items // 10)]}


def main(
    items: Annotated[int, typer.Option(min=_FEW, help="Number of queries, which are the items too")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON")] = False,
    measure: Annotated[bool, typer.Option("--measure", hidden=True)] = False,
) -> None:
    """Measure the memory of an evaluation."""
    if measure:
        evaluate(items)
        status = Path("/proc/self/status").read_text(encoding="ascii")
        print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        return
    found = compare(items)
    print(json.dumps(found) if as_json else f"{found['resident_mb']:.0f} MiB of {LIMIT_MB}, {found['seconds']:.0f} s")
    raise typer.Exit(0 if found["within"] else 1)


if __name__ == "__main__":
    typer.run(main)

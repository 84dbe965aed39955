"""A gallery of a million entries: its recall, its time of a search beside raw FAISS, and the memory that it takes.

    python -m benchmarks.gallery --json                     # 1,000,000 vectors of 512 dimensions; needs 8 GB of disk
    python -m benchmarks.gallery --size 100000 --json       # a try

The vectors are drawn, as embeddings are: classes of ten round centres, which again lie round broader kinds of things, in a
subspace of 64 dimensions, and some noise in all dimensions. Queries are new members of the classes: they are no entries.

The last line is one JSON object:

p99_ratio                   p99 over the queries of the time of a search, one query at a time and each in the median of 11 rounds,
                            over that of FAISS's own search in the same index, round by round in turn; p99_ratio_of_all is that
                            of single times, in which a busy machine's pauses count
recall_at_10                of the queries, against exact search; recall_on_record is what the build wrote into the gallery
build_memory_ratio          peak of private memory (RssAnon, every 10 ms) of building, over that before it, in its own process,
                            over the size of the vectors, which are read from a mapped file
second_worker_memory_ratio  memory that is a second worker's alone (USS) after as many searches as the first made, over that of
                            the index; interpreter and libraries count. Pages of mapped files that both hold are in memory once
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.private_memory import PrivatePeak
from model.progress import print_progress
from model.retrieval.galleries.arrays import blocks, map_array
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.exact import exact_search
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.schemas.gallery_record import IndexPlan

SPACE = "benchmarkgallery"
K = 10
_PER_CLASS = 10
_PER_KIND = 200
_BASIS = 64
_QUERIES = 1000
_ROUNDS = 11


@dataclass(frozen=True)
class Classes:
    """Where the classes of drawn vectors lie.

    Attributes:
        basis: (64, D), the subspace in which they differ.
        centres: (C, 64), the centre of each class.
    """

    basis: NDArray[np.float32]
    centres: NDArray[np.float32]

    @classmethod
    def of(cls, size: int, dimensions: int) -> "Classes":
        """The classes of a gallery of so many entries, ten entries each."""
        random, count = np.random.default_rng(0), max(1, size // _PER_CLASS)
        basis = random.standard_normal((min(_BASIS, dimensions), dimensions), dtype=np.float32)
        basis /= np.linalg.norm(basis, axis=1, keepdims=True)
        kinds = random.standard_normal((count // _PER_KIND + 1, len(basis)), dtype=np.float32)
        centres = kinds[np.arange(count) // _PER_KIND] + 0.7 * random.standard_normal((count, len(basis)), dtype=np.float32)
        return cls(basis, centres)

    def draw(self, labels: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Members of these classes, (N, D), L2-normalised."""
        random = np.random.default_rng(seed)
        within = self.centres[labels] + 0.9 * random.standard_normal((len(labels), len(self.basis)), dtype=np.float32)
        vectors = within @ self.basis
        vectors += 0.15 * random.standard_normal(vectors.shape, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def draw_file(self, file: Path, size: int) -> None:
        """Write the vectors of a gallery, block by block. Entries of one class are far apart in the file."""
        shape = (size, self.basis.shape[1])
        vectors = np.lib.format.open_memmap(file, "w+", np.float32, shape)
        for number, block in enumerate(blocks(*shape)):
            vectors[block] = self.draw(np.arange(size)[block] % len(self.centres), seed=100 + number)
        vectors.flush()


def build(file: Path, folder: Path) -> dict[str, float]:
    """Build a gallery from a file of vectors: the seconds, and the peak of private memory in bytes over that before."""
    vectors = map_array(file, np.float32, dimensions=2)
    count, classes = len(vectors), max(1, len(vectors) // _PER_CLASS)
    names, ids = [str(number) for number in range(classes)], (f"{row:07d}.jpg" for row in range(count))
    entries = Entries.of(np.arange(count) % classes, ids, names)
    gallery = LocalGallery(vectors, entries)
    exact_search(vectors[:K], vectors[:1], 1)  # libraries are loaded
    with PrivatePeak() as peak:
        began = time.perf_counter()
        gallery.save(folder, SPACE, IndexPlan("ivf"))
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": peak.bytes - peak.before}


def serve(folder: Path, queries: Path) -> None:
    """A worker: search the gallery for every query, print the seconds of loading, and wait until the standard input ends."""
    began = time.perf_counter()
    gallery = load_gallery(folder, SPACE, vectors_sha256=_hash(folder))
    seconds = time.perf_counter() - began
    for query in np.load(queries):
        gallery.search(query[None], K)
    print(json.dumps({"seconds": seconds}), flush=True)
    sys.stdin.read()


def _hash(folder: Path) -> str:
    """The hash that the manifest of a release holds, which is checked when the release is opened."""
    return str(json.loads((folder / "gallery.json").read_text())["vectors_sha256"])


def second_worker(folder: Path, queries: Path) -> dict[str, float]:
    """Start two workers: the bytes that are the second one's alone, and its seconds of loading."""
    command = [sys.executable, "-m", "benchmarks.gallery", "--work", str(folder), str(queries)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        said = [json.loads(worker.stdout.readline()) for worker in started if worker.stdout]
        memory = psutil.Process(started[1].pid).memory_full_info()
        return {"bytes": memory.uss, "pss": memory.pss, "seconds": said[1]["seconds"]}
    finally:
        for worker in started:
            worker.communicate()


def search_times(gallery: LocalGallery, queries: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of one query at a time, (rounds, Q), of `ours` and of `faiss` in the same index.

    Each asks all queries before it is the other one's turn: whoever asks the same query second finds its lists in the cache.
    """
    if gallery.inverted is None:
        raise SystemExit("The gallery has no lists.")
    index = gallery.inverted.index
    ways: dict[str, Callable[[NDArray[np.float32]], Any]] = {
        "ours": lambda query: gallery.search(query, K),
        "faiss": lambda query: index.search(query, K),
    }
    times = {name: np.empty((_ROUNDS, len(queries))) for name in ways}
    for number in range(_ROUNDS):
        for name, search in ways.items() if number % 2 else reversed(ways.items()):
            for row, query in enumerate(queries):
                began = time.perf_counter()
                search(query[None])
                times[name][number, row] = 1000 * (time.perf_counter() - began)
    return times


def _p99(times: NDArray[np.float64]) -> float:
    """The time that 99 of 100 queries do not exceed in the median of their rounds."""
    return float(np.percentile(np.median(times, axis=0), 99))


def measure(size: int, dimensions: int, work: Path) -> dict[str, Any]:
    """All figures of one gallery, whose files are made in `work`."""
    drawn, folder, asked = work / "drawn.npy", work / "gallery", work / "queries.npy"
    classes = Classes.of(size, dimensions)
    print_progress(0, 0, "drawing the vectors")
    classes.draw_file(drawn, size)
    print_progress(0, 0, "building the gallery")
    command = [sys.executable, "-m", "benchmarks.gallery", "--build", str(drawn), str(folder)]
    built = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    random = np.random.default_rng(7)
    queries = classes.draw(random.integers(0, len(classes.centres), _QUERIES), seed=8)
    np.save(asked, queries)
    gallery = load_gallery(folder, SPACE, vectors_sha256=_hash(folder))
    if not isinstance(gallery, LocalGallery) or gallery.index.kind != "ivf":
        raise SystemExit("The gallery has no lists.")
    vector_bytes, index_bytes = gallery.vectors.nbytes, sum(file.stat().st_size for file in (folder / "ivf").iterdir())
    print_progress(0, 0, "searching")
    truth, _ = exact_search(gallery.vectors, queries, K)
    scores, _ = gallery.search(queries, K)
    times = search_times(gallery, queries)
    began = time.perf_counter()
    for query in queries[:20]:
        exact_search(gallery.vectors, query[None], K)
    flat_ms = 1000 * (time.perf_counter() - began) / 20
    second = second_worker(folder, asked)
    return {
        "size": size,
        "dimensions": dimensions,
        "lists": gallery.index.lists,
        "probes": gallery.index.probes,
        "p99_ratio": _p99(times["ours"]) / _p99(times["faiss"]),
        "second_worker_memory_ratio": second["bytes"] / index_bytes,
        "recall_at_10": float((scores >= truth[:, -1:] - 1e-6).mean()),
        "recall_on_record": gallery.index.recall_at_10,
        "build_memory_ratio": built["bytes"] / vector_bytes,
        "build_s": built["seconds"],
        "load_s": second["seconds"],
        "search_p50_ms": float(np.median(times["ours"])),
        "search_p99_ms": _p99(times["ours"]),
        "faiss_p99_ms": _p99(times["faiss"]),
        "p99_ratio_of_all": float(np.percentile(times["ours"], 99) / np.percentile(times["faiss"], 99)),
        "flat_ms": flat_ms,
        "second_worker_mb": second["bytes"] / 2**20,
        "index_mb": index_bytes / 2**20,
    }


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000, help="entries of the gallery")
    parser.add_argument("--dimensions", type=int, default=512, help="length of a vector")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--build", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        print(json.dumps(build(*arguments.build)))
        return
    if arguments.work:
        serve(*arguments.work)
        return
    work = Path(tempfile.mkdtemp(prefix="glocal-gallery-"))
    try:
        figures = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in measure(arguments.size, arguments.dimensions, work).items()
        }
    finally:
        shutil.rmtree(work)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()

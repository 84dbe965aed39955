"""Workers of one machine share a gallery: what they map is in memory once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.schemas.gallery_record import IndexPlan
from tests.support.galleries import SPACE, clustered

pytestmark = pytest.mark.integration

COUNT, DIMENSIONS = 40_000, 256
WORKER = """
import json, re, sys
from pathlib import Path
import numpy as np
from model.retrieval.galleries.exact import exact_search
from model.retrieval.galleries.stored import load_gallery

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

queries = np.load(sys.argv[2])
exact_search(queries, queries[:1], 1)  # libraries are loaded
before = anonymous()
gallery = load_gallery(Path(sys.argv[1]), sys.argv[3])
found = [gallery.search(query[None], 10)[1][0].tolist() for query in queries]
print(json.dumps({"kind": gallery.index.kind, "found": found, "grown": anonymous() - before}), flush=True)
sys.stdin.read()
"""


def mapped(pid: int, folder: Path) -> dict[str, int]:
    """Resident and private bytes of a process's mappings of files in a folder."""
    sizes, inside = {"Rss": 0, "Private": 0}, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name and " " in name:
            inside = str(folder) in line
        elif inside and name in {"Rss", "Private_Clean", "Private_Dirty"}:
            sizes[name.partition("_")[0]] += 1024 * int(value.split()[0])
    return sizes


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_two_workers_hold_one_gallery_in_memory(tmp_path, kind):
    drawn = clustered(COUNT, dimensions=DIMENSIONS, classes=500)
    drawn.save(tmp_path / "gallery", SPACE, IndexPlan(kind))
    np.save(tmp_path / "queries.npy", drawn.vectors[:300])
    command = [sys.executable, "-c", WORKER, tmp_path / "gallery", tmp_path / "queries.npy", SPACE]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        first, second = (json.loads(worker.stdout.readline()) for worker in workers)
        shared = mapped(workers[1].pid, tmp_path / "gallery")
    finally:
        for worker in workers:
            worker.communicate(timeout=60)
    assert first["found"] == second["found"]
    assert [rows[0] for rows in second["found"]] == list(range(300))
    assert second["kind"] == kind
    assert shared["Rss"] > drawn.vectors.nbytes
    assert shared["Private"] < 0.02 * drawn.vectors.nbytes
    assert second["grown"] < 0.5 * drawn.vectors.nbytes

"""A worker of a server of models whose memory is bounded."""

import json
import subprocess
import sys

import pytest

from tests.support.releases import make_release

BOUNDED = """
import io, json, os, re, sys
from pathlib import Path
import numpy as np
from PIL import Image
from serving.engine.worker import Worker
from serving.operations.envelope import pack, unpack_answers
from serving.operations.query import make_query
from serving.processes import limit_memory

def png(side):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((side, side, 4), np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

def search(image):
    return make_query("search", [image], {"k": 1})

worker, small, large = Worker(Path(sys.argv[1]), "1"), png(64), png(7000)

def answered(*images):
    (block,) = worker.answer([pack([search(image) for image in images])])
    return [isinstance(each, dict) for each in unpack_answers(block, len(images))]

before = answered(small)
taken = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) // 1024
os.environ["GLOCAL_WORKER_MEMORY_MB"] = str(taken + 96)
limit_memory()
print(json.dumps([before, answered(small, large, small), answered(small)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds to the limit")
def test_a_query_that_wants_more_memory_than_a_worker_may_take_fails_alone_and_the_worker_lives(tmp_path):
    release = make_release(tmp_path / "release")
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(release.folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [[True], [True, False, True], [True]]

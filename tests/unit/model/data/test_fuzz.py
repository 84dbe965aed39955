"""Thousands of damaged files of each container, in a process of its own: none may end it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import json, sys
from collections import Counter
import numpy as np
from model.data.images import decode_image
from model.errors import InvalidInput
from tests.support.encoded import every_kind, mutate

container, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
files = [data for kind, data in every_kind().items() if kind.split()[0] == container]
rng, seen = np.random.default_rng(seed), Counter()
for number in range(count):
    try:
        assert decode_image(mutate(files[number % len(files)], rng)).shape[0] == 3
        seen["image"] += 1
    except InvalidInput as error:
        seen[type(error).__name__] += 1
print(json.dumps(seen))
"""
ROOT = Path(__file__).parents[4]
COUNT = int(os.environ.get("GLOCAL_TEST_FUZZ", "2000"))
"""Files of each container."""


@pytest.mark.slow
@pytest.mark.parametrize("container", ["jpeg", "mpo", "png", "webp", "bmp", "gif", "avif"])
def test_no_damaged_file_ends_the_process(container):
    words = [sys.executable, "-c", _SCRIPT, container, str(COUNT), "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert sum(seen.values()) == COUNT
    assert seen["image"] < COUNT
    assert done.stderr == ""

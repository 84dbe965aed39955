"""Imports made quicker, in processes of their own: what was imported once stays."""

import subprocess
import sys

WORKER = """
import gc, sys
from model.imports import without_compiler
with without_compiler():
    assert not gc.isenabled()
    from serving.engine.worker import Worker
assert gc.isenabled()
assert not {"torch._dynamo", "torch._dynamo.utils", "sympy"} & sys.modules.keys()
import torch
assert torch.compile(lambda value: value + 1, backend="eager")(torch.tensor(1)) == 2
assert "torch._dynamo" in sys.modules
"""

PAUSED = """
import gc
from model.imports import quick_imports
with quick_imports():
    assert not gc.isenabled()
assert gc.isenabled() and not gc.get_freeze_count()
with quick_imports():
    import sqlite3
assert gc.isenabled() and (frozen := gc.get_freeze_count())
more = [[] for _ in range(1000)]
with quick_imports():
    import sqlite3
assert gc.get_freeze_count() == frozen
"""

LATER = """
import torch._dynamo, sys
from model.imports import without_compiler
known = sys.modules["torch._dynamo"]
with without_compiler():
    assert sys.modules["torch._dynamo"] is known
assert sys.modules["torch._dynamo"] is known
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)


def test_a_worker_comes_up_without_the_compiler_which_can_be_imported_afterwards():
    done = run(WORKER)
    assert done.returncode == 0, done.stderr


def test_what_was_imported_is_not_looked_through_again_and_what_was_there_is_not_kept_from_the_collector():
    done = run(PAUSED)
    assert done.returncode == 0, done.stderr


def test_a_compiler_that_is_there_already_stays():
    done = run(LATER)
    assert done.returncode == 0, done.stderr

"""The record of runs as a process that answers requests opens it."""

import subprocess
import sys

from model.environment import Environment
from model.home import Home
from serving.registry.runs import Runs

WARM_UP = """
import gc, sys
from model.environment import Environment
from model.home import Home
from serving.registry.opened import warm_up
known = gc.get_freeze_count()
warm_up(Environment(home=Home.at(sys.argv[1])))
assert gc.isenabled()
assert gc.get_freeze_count() > known
assert gc.get_freeze_count() > 10 * len(gc.get_objects()), (gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_the_garbage_collector_does_not_look_through_what_was_imported_for_the_record(tmp_path):
    home = Home.at(tmp_path / "home")
    home.root.mkdir()
    Runs(Environment(home=home).mlflow_uri).start_run("one")
    done = subprocess.run([sys.executable, "-c", WARM_UP, home.root], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

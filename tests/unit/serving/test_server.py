"""The server's status where no server runs, and what its commands import."""

import subprocess
import sys

import pytest

from model.home import Home
from serving import server


def test_nothing_runs_in_a_fresh_home(tmp_path):
    assert server.status(Home.at(tmp_path)).state == "stopped"
    assert server.stop(Home.at(tmp_path)) is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["serving.promotion", "serving.planning", "serving.reconcile", "serving.history"])
def test_what_commands_of_the_endpoint_need_is_imported_without_torch_and_scipys_statistics(module):
    program = f"import sys, {module}; sys.exit('torch' in sys.modules or 'scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0

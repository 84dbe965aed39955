"""The server's status where no server runs."""

from model.home import Home
from serving import server


def test_nothing_runs_in_a_fresh_home(tmp_path):
    assert server.status(Home.at(tmp_path)).state == "stopped"
    assert server.stop(Home.at(tmp_path)) is False
    assert list(tmp_path.iterdir()) == []

"""The server's status where no server runs."""

from model.home import Home
from serving.backends.torchserve import server as torchserve


def test_nothing_runs_in_a_fresh_home(tmp_path):
    assert torchserve.status(Home.at(tmp_path)).state == "stopped"
    assert torchserve.stop(Home.at(tmp_path)) is False
    assert list(tmp_path.iterdir()) == []

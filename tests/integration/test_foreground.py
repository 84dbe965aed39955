"""The endpoint in the foreground, with a real TorchServe."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from model.home import Home
from serving import server
from serving.gateway import check
from serving.gateway import process as gateway
from serving.processes import wait_until
from tests.support.commands import end, processes

pytestmark = pytest.mark.integration


@pytest.fixture
def running(tmp_path):
    variables = {"GLOCAL_HOME": str(tmp_path / "home"), "GLOCAL_GATEWAY_HOST": "0.0.0.0", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "serving.foreground"]
    with subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True) as process:
        home = Home.at(tmp_path / "home")
        assert "answers at" in next(process.stderr, "")
        assert check.answers(home)
        yield home, process
        process.kill()
    end(home.root)


def test_a_fresh_home_has_an_endpoint_at_all_addresses_until_a_signal_ends_it_whole(running):
    home, process = running
    state = server.status(home)
    assert (state.running, state.state, state.address) == (True, "empty", gateway.find(home.serve).address)
    listening = psutil.Process(gateway.find(home.serve).pid).net_connections("tcp4")
    assert {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN} == {"0.0.0.0"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert processes(home.root) == []


def test_a_gateway_that_was_killed_is_started_again(running):
    home, _ = running
    before = gateway.find(home.serve).pid
    psutil.Process(before).kill()
    assert wait_until(lambda: check.answers(home), deadline_s=60)
    assert gateway.find(home.serve).pid != before

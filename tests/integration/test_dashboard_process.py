"""The dashboard's process: begun once for a home, found, ended, killed at bad moments, and said why where it cannot begin."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from model.files import read_json
from model.home import Home
from model.locks import is_held
from serving.processes import bind_port, wait_until
from tests.support.disks import small_disk

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path):
    home = Home.at(tmp_path / "a home with spaces, \u00fc and 'quotes'")
    yield home
    call(home, "stop")


@pytest.fixture
def port():
    """A port that nobody listens at."""
    with bind_port(0) as free:
        return free.getsockname()[1]


def settings(home, **more):
    named = {f"GLOCAL_{name.upper()}": str(value) for name, value in more.items()}
    return os.environ | {"GLOCAL_HOME": str(home.root), "GLOCAL_DASHBOARD_PORT": "0", "GLOCAL_USER": "ana"} | named


def call(home, *words, **more):
    """A command of the dashboard: its exit code, what it printed, and the lines of its error."""
    line = [sys.executable, "-m", "dashboard", *words]
    done = subprocess.run(line, env=settings(home, **more), capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout.strip(), done.stderr.splitlines()


def enters(link):
    """Whether a link begins a session."""
    return httpx.get(link, follow_redirects=False, trust_env=False).status_code == 303


@contextmanager
def taken(port):
    """Somebody else listens at a port."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def test_two_starts_at_once_are_one_dashboard_and_its_end_leaves_nothing(home):
    words = [sys.executable, "-m", "dashboard", "start"]
    both = [subprocess.Popen(words, env=settings(home), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    links = [each.communicate(timeout=120)[0].partition(": ")[2].strip() for each in both]
    assert links[0].partition("/enter")[0] == links[1].partition("/enter")[0]
    assert sum(map(enters, links)) == 1  # the later one ends the earlier one
    pid = read_json(home.dashboard.state)["pid"]
    code, _, error = call(home, "serve")
    assert (code, error[0]) == (4, "Error: A dashboard of this home runs already, or is being started.")
    assert read_json(home.dashboard.state)["pid"] == pid
    assert call(home, "stop")[1] == "stopped"
    assert not is_held(home.dashboard.lock)
    assert call(home, "stop")[1] == "was not running"
    assert call(home, "link")[0] == 5


def test_a_killed_dashboard_is_no_longer_named_even_where_another_homes_has_its_port(home, tmp_path):
    call(home, "start")
    state = read_json(home.dashboard.state)
    os.kill(state["pid"], signal.SIGKILL)
    assert wait_until(lambda: not is_held(home.dashboard.lock), deadline_s=5)
    port = state["local"].rpartition(":")[2]
    other = Home.at(tmp_path / "other")
    assert f":{port}/enter" in call(other, "start", dashboard_port=port)[1]
    try:
        code, out, error = call(home, "link")
        assert (code, out, error[0]) == (5, "", "Error: The dashboard does not run.")
        assert call(home, "stop")[1] == "was not running"
        again = call(home, "start", dashboard_port=port)[1].partition(": ")[2]
        assert f":{port}/" not in again  # the port is taken: the link names the one that was found
        assert enters(again)
    finally:
        assert call(other, "stop")[1] == "stopped"


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        '{"pid": 1e999, "local": "http://[::"}',
        '{"pid": -1, "local": "http://127.0.0.1:1", "address": "x"}',
        '{"pid": 1, "local": 5}',
    ],
)
def test_a_damaged_state_is_no_dashboard(home, damage):
    home.dashboard.root.mkdir(parents=True)
    home.dashboard.state.write_text(damage)
    assert call(home, "stop")[:2] == (0, "was not running")
    code, _, error = call(home, "link")
    assert (code, error[0]) == (5, "Error: The dashboard does not run.")


def test_an_address_that_is_set_does_not_lead_to_what_has_taken_the_port(home, port):
    """A link to it would hand the token to whoever listens there."""
    with taken(port):
        code, out, error = call(home, dashboard_port=port, dashboard_address="https://glocal.example.org")
    assert (code, out) == (4, "")
    assert error[0] == f"Error: Port {port}, to which https://glocal.example.org leads, is taken."
    assert len(error) == 2


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "::1"])
def test_a_host_that_is_not_this_machines_is_said(home, host):
    code, _, error = call(home, "serve", dashboard_host=host)
    assert code == 2
    assert error[0].startswith(f"Error: The dashboard cannot listen at {host}: ")
    assert len(error) == 2


@pytest.mark.parametrize(("state", "said"), [("full", "no room left on the disk of"), ("read_only", "lies on a read-only disk")])
def test_a_home_whose_disk_takes_nothing_is_said_and_served_once_it_does(tmp_path, state, said):
    with small_disk(tmp_path / "disk", mib=8) as disk:
        home = Home.at(disk.root / "home")
        with getattr(disk, state)():
            code, _, error = call(home, "serve")
            assert (code, len(error), said in error[0]) == (1, 2, True), error
        try:
            assert enters(call(home, "start")[1].partition(": ")[2])
        finally:
            call(home, "stop")

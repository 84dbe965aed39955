"""The endpoint in the foreground, where no server needs to run. With one: tests/integration/test_foreground.py."""

import os
import signal
import subprocess
import sys

import pytest

from model.errors import Conflict, GlocalError, Unavailable
from model.home import Home
from serving import foreground, replica
from serving.gateway import check


def test_nothing_answers_in_a_home_without_an_endpoint(tmp_path):
    assert not check.answers(Home.at(tmp_path))


def test_it_needs_neither_registry_nor_pipelines(tmp_path):
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(['mlflow', 'kfp', 'dvc', 'boto3', 'botocore'])); import serving.foreground"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=[foreground, replica], ids=["foreground", "replica"])
def ended(request, tmp_path, monkeypatch):
    """The exit code of the endpoint's process, in whose start something happens. It was ended whole."""
    module, stopped = request.param, []

    def code(happens):
        monkeypatch.setenv("GLOCAL_HOME", str(tmp_path))
        monkeypatch.setenv("GLOCAL_SERVED", "{}")
        monkeypatch.setattr("sys.argv", ["serving", "serve"])
        monkeypatch.setattr(module, "_bring_up" if module is foreground else "bring_up", happens)
        monkeypatch.setattr(module.server, "stop", stopped.append)
        with pytest.raises(SystemExit) as left:
            module.main()
        assert stopped == [Home.at(tmp_path)]
        return left.value.code

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield code
    signal.signal(signal.SIGTERM, before)


def test_asked_to_end_while_it_starts_it_ends_at_once_and_in_order(ended):
    assert ended(lambda *_: os.kill(os.getpid(), signal.SIGTERM)) == 0


@pytest.mark.parametrize("error", [GlocalError("x"), Conflict("x"), Unavailable("x")])
def test_what_ends_it_by_itself_is_its_exit_code(ended, error, capsys):
    def fail(*_):
        raise error

    assert ended(fail) == error.exit_code
    assert capsys.readouterr().err == "x\n"

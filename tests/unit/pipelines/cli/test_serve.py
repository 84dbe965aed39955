import json

import pytest

from model.errors import Unavailable
from pipelines.cli.serve import show_server


def test_a_server_that_does_not_run_is_said_to_be_stopped(glocal):
    code, out, error = glocal("serve", "status", "--json")
    assert (code, json.loads(out)["running"], error) == (0, False, "")
    assert glocal("serve", "stop", "--json") == (0, '{"stopped": false}\n', "")
    code, out, error = glocal("query", "x.jpg")
    assert (code, out) == (5, "")
    assert error.startswith("Error: The endpoint does not run.")
    assert "glocal serve start" in error


def test_a_server_that_runs_and_does_not_answer_is_told_and_exits_5(capsys):
    state = {"running": True, "healthy": False, "pid": 7, "address": "http://x", "memory_mb": 1.0, "models": {}, "log": "logs"}
    with pytest.raises(Unavailable, match="does not answer") as error:
        show_server(state, as_json=True)
    assert error.value.exit_code == 5
    assert json.loads(capsys.readouterr().out) == state

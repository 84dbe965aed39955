import json

import pytest

from model.schemas.status import Difference, ServerStatus


def test_a_server_that_does_not_run_is_said_to_be_stopped_and_in_which_home(glocal, tmp_path):
    code, out, error = glocal("serve", "status", "--json")
    assert (code, json.loads(out)["running"], error) == (0, False, "")
    assert glocal("serve", "stop", "--json") == (0, '{"stopped": false}\n', "")
    home, hint = tmp_path / "home", "  Another home: set GLOCAL_HOME to its absolute path.\n"
    assert glocal("serve", "status") == (0, f"not running in {home}\n", hint)
    assert glocal("serve", "stop") == (0, f"was not running in {home}\n", hint)
    code, out, error = glocal("query", "x.jpg")
    assert (code, out) == (5, "")
    assert error.startswith("Error: The endpoint does not run.")
    assert f"Its home is {home}; set GLOCAL_HOME to ask another. Start it: glocal serve start" in error


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"state": "deaf", "pid": 7}, "TorchServe (process 7) does not answer."),
        ({"state": "empty"}, "TorchServe runs and serves no model."),
        ({"state": "partial", "missing": ("mugs",)}, "On record, but not served: mugs."),
    ],
    ids=["deaf", "empty", "partial"],
)
def test_a_server_that_does_not_do_its_work_is_exit_code_5_with_words(glocal, monkeypatch, state, said):
    found = ServerStatus(
        running=True, log="logs", differences=(Difference(model="mugs", found="It was.", done="Done."),), **state
    )
    monkeypatch.setattr("serving.reconcile.server_status", lambda *_: found)
    code, out, error = glocal("serve", "status", "--json")
    assert code == 5
    assert json.loads(out)["state"] == state["state"]
    assert f"Error: {said}" in error
    assert "Warning: mugs: It was. Done." in error

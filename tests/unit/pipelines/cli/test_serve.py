import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from model.files import write_text
from model.home import Home
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


def test_a_start_closes_the_killed_runs(glocal, monkeypatch, tmp_path):
    closed = []
    monkeypatch.setattr("serving.reconcile.start_server", lambda *_: ServerStatus(running=False, state="stopped", log="logs"))
    monkeypatch.setattr("pipelines.killed_runs.close_runs_of", lambda home, *_: closed.append(home.root))
    assert glocal("serve", "start")[0] == 0
    assert closed == [tmp_path / "home"]


@pytest.mark.parametrize("words", [["serve", "status"], ["serve", "stop"], ["query", "x.jpg"]])
def test_a_file_in_the_place_of_the_home_or_of_the_servers_folder_is_named(glocal, tmp_path, words):
    home = tmp_path / "home"
    home.write_text("mine")
    code, out, error = glocal(*words)
    assert (code, out) == (2, "")
    assert error == f"Error: GLOCAL_HOME is {home}, which is a file.\n  Set GLOCAL_HOME to an empty folder.\n"
    home.unlink()
    home.mkdir()
    (home / "serve").write_text("mine")
    code, out, error = glocal(*words)
    assert (code, out) == (2, "")
    assert f"{home / 'serve'} is a file, where Glocal keeps a folder." in error


def test_what_is_stored_is_started_and_not_made_anew(glocal, tmp_path):
    write_text(tmp_path / "home" / "serve" / "store" / "mugs-1.mar", "x")
    code, _, error = glocal("query", "x.jpg")
    assert code == 5
    assert error.rstrip().endswith("Start it: glocal serve start.")
    found = ServerStatus(running=True, state="empty", log="logs", stored=("mugs",))
    assert "Stored, but not served: mugs." in found.fault.hint
    assert "glocal run" not in found.fault.hint


def test_what_only_a_person_can_put_right_is_the_fault_with_the_models_that_miss_it():
    lost = Difference(model="", found="mlflow.db is missing.", done="Nothing was removed.", remedy="Restore it.")
    found = ServerStatus(running=True, state="empty", log="logs", missing=("mugs",), differences=(lost,)).fault
    assert (found.exit_code, found.headline) == (1, "On record, but not served: mugs. mlflow.db is missing.")
    assert found.hint == "Restore it. Nothing was removed."
    clash = lost.model_copy(update={"model": "mugs"})
    assert ServerStatus(running=False, state="stopped", log="logs", differences=(clash,)).fault.headline.startswith("mugs: ")


AS_ANOTHER_USER = """
import os, sys
import pipelines.cli
import serving.reconcile  # before the change of user, who may not read an interpreter that belongs to root
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.argv = ["glocal", "serve", "status"]
pipelines.cli.main()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may start a process as another user")
def test_another_user_who_may_only_read_the_home_sees_the_status():
    with tempfile.TemporaryDirectory(prefix="glocal-test-") as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o755)
        home = Home.at(folder)
        for file in (home.serve.deploy_lock, home.serve.deployed):
            write_text(file, "{}")
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER],
            env=os.environ | {"GLOCAL_HOME": folder, "PYTHONPATH": str(Path(__file__).parents[4])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, f"not running in {folder}\n")
        line, _ = done.stderr.splitlines()
        assert line == f"Warning: {folder} may not be written to by this user. The records were not compared with the registry."
        assert sorted(path.name for path in home.serve.root.iterdir()) == ["deploy.lock", "deployed.json"]

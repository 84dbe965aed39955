import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.files import write_text
from model.home import Home
from model.schemas.challenge import Challenge, ServedChallenger
from model.schemas.status import Difference, ServedModel, ServedVersion, ServerStatus


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
        ({"state": "deaf", "pid": 7, "gateway_pid": 8}, "The server of models (process 7) does not answer."),
        ({"state": "empty"}, "The endpoint runs and serves no model."),
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


def challenger(**changes):
    terms = Challenge(mode="canary", share=0.05, started=datetime(2026, 1, 1, tzinfo=UTC))
    return ServedChallenger(**{"version": "2", "challenge": terms, "ready": True, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"ready": False}, ", no worker is ready"),
        ({"aborted": "20 of its last 20 requests failed."}, ", aborted: 20 of its last 20 requests failed."),
    ],
    ids=["tried", "not ready", "aborted"],
)
def test_the_status_shows_a_challenger_below_the_version_that_serves(glocal, monkeypatch, changes, said):
    model = ServedModel(default="1", versions=(ServedVersion(version="1", workers=(), waiting=0),))
    found = ServerStatus(running=True, state="serving", log="logs", models={"mugs": model})
    found = found.model_copy(update={"challengers": {"mugs": challenger(**changes)}})
    monkeypatch.setattr("serving.reconcile.server_status", lambda *_: found)
    code, out, error = glocal("serve", "status")
    assert (code, out.splitlines()[2]) == (0, f"    version 2 as canary, 5 % of the keys{said}")
    assert ("until: glocal serve end mugs" in error) == ("aborted" in changes)
    assert json.loads(glocal("serve", "status", "--json")[1])["challengers"]["mugs"]["version"] == "2"


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_terms_that_cannot_be_used_are_refused_before_anything_starts(glocal, tmp_path, mode):
    for name, wrong in (("share", "1.5"), ("share", "nan"), ("max_error_rate", "-1"), ("max_latency_ratio", "0")):
        code, out, error = glocal("serve", mode, "mugs", "2", f"--{name.replace('_', '-')}", wrong)
        assert (code, out) == (2, "")
        assert error.startswith(f"Error: {name}: input should be ")
    assert not (tmp_path / "home").exists()


def test_a_challenge_has_the_terms_of_the_command_line(glocal, monkeypatch):
    begun = []

    def start(version, terms, *, name, workers, **_):
        begun.append((name, version, terms, workers))
        return challenger(version=version, challenge=terms)

    monkeypatch.setattr("serving.challenging.start_challenge", start)
    words = ["serve", "shadow", "mugs", "2", "--share", "0.2", "--max-error-rate", "0.01", "--max-latency-ratio", "3"]
    assert glocal(*words, "--workers", "2") == (0, "mugs: version 2 as shadow, 20 % of the requests\n", "")
    ((name, version, terms, workers),) = begun
    assert (name, version, workers) == ("mugs", "2", 2)
    assert (terms.mode, terms.share, terms.max_error_rate, terms.max_latency_ratio) == ("shadow", 0.2, 0.01, 3)


def test_the_end_of_nothing_is_said(glocal):
    assert glocal("serve", "end", "mugs") == (0, "mugs has no shadow or canary\n", "")
    assert glocal("serve", "end", "mugs", "--json") == (0, '{"ended": null}\n', "")


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
for each in serving.backends.ADAPTERS:
    serving.backends.named(each)
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

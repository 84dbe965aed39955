import json

import pytest

import pipelines.running
from model.claim import claim
from model.files import write_text
from model.home import Home
from model.schemas.run_result import RunResult


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"status": "succeeded", "model_version": "7", "alias": "champion", "address": "http://x"}, "version 7"),
        ({"status": "rejected", "refused": ["MAP@R is too low"]}, "refused   MAP@R is too low"),
        (
            {"status": "failed", "error": {"step": "train", "headline": "No.", "hint": "Do.", "log": "x.log", "exit_code": 2}},
            "Error: train: No.\n  Do.\n  Log: x.log",
        ),
    ],
)
def test_a_run_prints_its_result_as_json_alone_on_standard_output(glocal, monkeypatch, result, said):
    codes = {"succeeded": 0, "rejected": 6, "failed": 2}
    done = RunResult.model_validate(result)
    monkeypatch.setattr(pipelines.running, "run_training", lambda *_, **__: done)
    code, out, error = glocal("run", "--data", ".", "--json")
    assert code == codes[result["status"]]
    assert json.loads(out) == done.to_json()
    assert said in error
    code, out, _ = glocal("run", "--data", ".")
    assert out == ""


@pytest.fixture
def asked(monkeypatch):
    """The arguments of the pipeline, without running it."""
    calls = []

    def run(spec, **_named):
        calls.append(spec.arguments)
        return RunResult(status="rejected")

    monkeypatch.setattr(pipelines.running, "run_pipeline", run)
    return calls


@pytest.mark.parametrize("words", [["grocery"], ["--data", "grocery"], ["grocery", "--data", "grocery"]])
def test_a_folder_is_given_with_or_without_the_option(glocal, asked, tmp_path, monkeypatch, words):
    (tmp_path / "grocery").mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, error = glocal("run", *words)
    assert (code, error) == (6, "")
    assert [(each["source"], each["name"]) for each in asked] == [(str(tmp_path / "grocery"), "")]  # the default of the step


@pytest.mark.parametrize(("folder", "name"), [("My Images", "My-Images"), ("shop/images", "shop"), ("gr\u00f6\u00dfe", "gro-e")])
def test_a_name_that_had_to_be_changed_is_said(glocal, asked, tmp_path, folder, name):
    (tmp_path / folder).mkdir(parents=True)
    _, out, error = glocal("run", tmp_path / folder)
    assert out == ""
    assert error.startswith(f"Warning: The data set is called {name}, after {tmp_path / folder}.")
    assert [each["name"] for each in asked] == [""]
    _, _, error = glocal("run", tmp_path / folder, "--name", "mine")
    assert error == ""
    assert asked[-1]["name"] == "mine"


def test_a_folder_without_a_name_that_can_be_used_is_refused_before_anything_starts(glocal, asked, tmp_path):
    (tmp_path / "\u7a7a").mkdir()
    code, out, error = glocal("run", tmp_path / "\u7a7a")
    assert (code, out, asked) == (2, "", [])
    assert "--name NAME" in error
    assert glocal("run", tmp_path / "\u7a7a", "--name", "sky")[0] == 6


def test_a_run_ends_at_once_while_the_registrys_database_is_lost(glocal, asked, tmp_path):
    home = claim(Home(tmp_path / "home"))
    write_text(home.serve.deployed, "{}")
    (tmp_path / "My Images").mkdir()
    code, out, error = glocal("run", tmp_path / "My Images")
    assert (code, out, asked) == (1, "", [])
    headline, hint = error.splitlines()
    assert headline == f"Error: {home.root / 'mlflow.db'} is missing, and files in GLOCAL_HOME refer to its records."
    assert hint.startswith("  Restore it from a backup. Without one: glocal serve stop, then move")
    assert not (home.root / "mlflow.db").exists()


def test_another_trunk_with_its_own_weights_is_taken(glocal, asked, tmp_path):
    code, _, error = glocal(
        "run", tmp_path, "--set", "model.trunk=test_efficientnet", "--set", "model.weights=none", "--name", "x"
    )
    assert (code, error) == (6, "")
    assert asked[0]["model"]["trunk"] == "test_efficientnet"

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from pipelines import cli

COMMANDS = [
    [],
    ["run"],
    ["compile"],
    ["dashboard"],
    ["query"],
    ["promote"],
    ["rollback"],
    ["sign"],
    ["approve"],
    ["refuse"],
    ["models"],
    ["history"],
    ["gc"],
    ["reproduce"],
    ["lineage"],
    ["diff"],
    ["data"],
    ["data", "import"],
    ["data", "list"],
    ["data", "demo"],
    ["data", "diff"],
    ["gallery"],
    ["gallery", "build"],
    ["gallery", "add"],
    ["gallery", "remove"],
    ["gallery", "list"],
    ["gallery", "diff"],
    ["corrections"],
    ["corrections", "add"],
    ["corrections", "drop"],
    ["corrections", "accept"],
    ["jobs"],
    ["jobs", "show"],
    ["jobs", "end"],
    ["runs"],
    ["runs", "cancel"],
    ["runs", "start"],
    ["runs", "stop"],
    ["schedule"],
    ["schedule", "add"],
    ["schedule", "list"],
    ["schedule", "pause"],
    ["schedule", "remove"],
    ["serve"],
    ["serve", "start"],
    ["serve", "status"],
    ["serve", "stop"],
    ["serve", "shadow"],
    ["serve", "canary"],
    ["serve", "end"],
    ["serve", "trial"],
    ["key"],
    ["key", "create"],
    ["key", "list"],
    ["key", "revoke"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(glocal, words):
    code, out, error = glocal(*words, "--help")
    assert (code, error) == (0, "")
    assert "Usage:" in out


def test_there_is_no_command_that_is_not_tested_above(glocal):
    import typer

    root = typer.main.get_command(cli.app)
    found = [[]]
    for name, command in root.commands.items():
        found += [[name], *([name, inner] for inner in getattr(command, "commands", {}))]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--data", ".", "--set", "train.epoch=3"], "There is no setting train.epoch.\n  Did you mean train.epochs?"),
        (["run", "--data", ".", "--set", "train.epochs=many"], "Setting train.epochs: "),
        (["run", "--data", ".", "--set", "model.method=os.system"], "Setting model.method: "),
        (["run", "--data", ".", "--set", "train"], "--set train is not of the form section.key=value."),
        (["run", "--data", ".", "--config", "none.yaml"], "none.yaml cannot be read as YAML"),
        (["data", "import", ".", "--name", "x", "--set", "data.leak=drop"], "There is no setting data.leak."),
        (["run", "--data", "no/such/folder"], "There is no folder no/such/folder."),
        (["run", "no/such/folder"], "There is no folder no/such/folder."),
        (["run", ".", "--data", "elsewhere"], "Both . and --data elsewhere are given."),
        (["run", ".", "--set", "model.trunk=resnet81"], "There is no trunk resnet81"),
        (["run", ".", "--set", "model.trunk=os.system"], "There is no trunk os.system"),
        (["run", ".", "--set", "model.trunk=resnet18"], "No installed package holds weights for resnet18."),
        (["run", ".", "--set", "model.method=abe", "--set", "model.local_attention=none"], "The method abe has no local head."),
        (["query", "x.jpg", "--k", "0"], "--k must be a number from 1 to 1000000000."),
        (["query", "x.jpg", "--k", "1000000001"], "--k must be a number from 1 to 1000000000."),
        (["query", "x.jpg", "--k", "9" * 5000], "Invalid value for '--k'"),
        (["compile", "--out", "p.json"], "p.json would not be a YAML file.\n  Name it .yaml or .yml"),
        (["compile", "--out", "p"], "p would not be a YAML file."),
    ],
)
def test_what_cannot_be_used_is_named_on_standard_error_and_exits_2(glocal, tmp_path, monkeypatch, words, said):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")  # its name is the data set's, whatever the checkout is called
    code, out, error = glocal(*words)
    assert (code, out) == (2, "")
    assert error.startswith("Error: ")
    assert said in error
    assert len(error.splitlines()) <= 2
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["nonsense"], ["run"], ["run", "--nonsense"], ["query"], ["data", "import"]])
def test_a_wrong_word_exits_2_with_nothing_on_standard_output(glocal, words):
    code, out, error = glocal(*words)
    assert (code, out) == (2, "")
    said, hint = error.splitlines()
    assert said.startswith("Error: ")
    assert hint.endswith("--help.")


def test_nothing_said_shows_the_help(glocal):
    for words in ([], ["data"], ["serve"]):
        code, out, error = glocal(*words)
        assert (code, error) == (2, "")
        assert "Usage:" in out


def test_compile_says_where_it_wrote(glocal, tmp_path):
    code, out, _ = glocal("compile", "--out", tmp_path / "a.yaml")
    assert (code, out) == (0, f"{tmp_path / 'a.yaml'}\n")
    assert (tmp_path / "a.yaml").stat().st_size > 1000
    code, out, _ = glocal("compile", "--out", tmp_path / "b.yml", "--json")
    assert (code, json.loads(out)) == (0, {"pipeline": str(tmp_path / "b.yml")})
    assert (tmp_path / "b.yml").read_bytes() == (tmp_path / "a.yaml").read_bytes()


def test_the_version_is_the_packages(glocal):
    assert glocal("--version") == (0, f"glocal {version('glocal')}\n", "")


def test_the_package_is_the_command(tmp_path):
    words = [sys.executable, "-m", "pipelines.cli", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (f"glocal {version('glocal')}\n", "")

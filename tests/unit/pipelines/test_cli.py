import json
import sys
from types import SimpleNamespace

import pytest

from model.config import RunConfig
from model.errors import GlocalError, InvalidInput
from model.schemas.status import Difference, ServerStatus
from pipelines import cli
from pipelines.cli import Console, default_name
from pipelines.running import locate, pipeline_arguments

COMMANDS = [
    [],
    ["run"],
    ["compile"],
    ["query"],
    ["data"],
    ["data", "import"],
    ["data", "list"],
    ["data", "demo"],
    ["serve"],
    ["serve", "start"],
    ["serve", "status"],
    ["serve", "stop"],
]


@pytest.fixture
def glocal(monkeypatch, capsys, tmp_path):
    """Run the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["glocal", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        out, error = capsys.readouterr()
        assert "Traceback" not in out + error
        return code, out, error

    return run


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
    ],
)
def test_what_cannot_be_used_is_named_on_standard_error_and_exits_2(glocal, tmp_path, words, said):
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


def test_importing_a_folder_that_is_not_there_is_not_found(glocal):
    code, out, error = glocal("data", "import", "no/such/folder", "--name", "x")
    assert code in {2, 3}
    assert out == ""
    assert "There is no folder no/such/folder." in error


def test_no_data_sets_are_an_empty_list(glocal):
    assert glocal("data", "list", "--json") == (0, "[]\n", "")
    assert glocal("data", "list") == (0, "", "")


def test_a_server_that_does_not_run_is_said_to_be_stopped(glocal):
    code, out, error = glocal("serve", "status", "--json")
    assert (code, json.loads(out)["running"], error) == (0, False, "")
    assert glocal("serve", "stop", "--json") == (0, '{"stopped": false}\n', "")
    code, out, error = glocal("query", "x.jpg")
    assert (code, out) == (5, "")
    assert error.startswith("Error: The endpoint does not run.")
    assert "glocal serve start" in error


def test_demo_leaves_a_folder_that_is_there_as_it_is(glocal, tmp_path):
    (tmp_path / "demo").mkdir()
    assert glocal("data", "demo", tmp_path / "demo") == (0, f"{tmp_path / 'demo'}\n", "")
    assert list((tmp_path / "demo").iterdir()) == []


def test_compile_says_where_it_wrote(glocal, tmp_path):
    code, out, _ = glocal("compile", "--out", tmp_path / "a.yaml")
    assert (code, out) == (0, f"{tmp_path / 'a.yaml'}\n")
    assert (tmp_path / "a.yaml").stat().st_size > 1000


class Findings(InvalidInput):
    findings = SimpleNamespace(defects=[f"defect {number}" for number in range(30)])


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (GlocalError("It failed."), 1, ["Error: It failed."]),
        (InvalidInput("It is bad.", "Mend it."), 2, ["Error: It is bad.", "  Mend it."]),
        (KeyboardInterrupt(), 130, ["Stopped. The same command resumes."]),
        (Findings("30 defects."), 2, ["Error: 30 defects.", *(f"  defect {number}" for number in range(20))]),
    ],
)
def test_every_failure_is_a_line_and_a_hint(glocal, monkeypatch, error, code, lines):
    def fail(*_arguments, **_named):
        raise error

    monkeypatch.setattr(cli, "load_config", fail)
    assert glocal("run", "--data", ".") == (code, "", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"status": "succeeded", "model_version": "7", "alias": "champion", "address": "http://x", "report": None}, "version 7"),
        ({"status": "rejected", "refused": ["MAP@R is too low"], "report": None}, "refused   MAP@R is too low"),
        (
            {"status": "failed", "report": None, "error": {"step": "train", "headline": "No.", "hint": "Do.", "log": "x.log"}},
            "Error: train: No.\n  Do.\n  Log: x.log",
        ),
    ],
)
def test_a_run_prints_its_result_as_json_alone_on_standard_output(glocal, monkeypatch, result, said):
    codes = {"succeeded": 0, "rejected": 6, "failed": 2}
    import pipelines.running

    done = pipelines.running.RunResult(result["status"], codes[result["status"]], result)
    monkeypatch.setattr(pipelines.running, "run_training", lambda *_, **__: done)
    code, out, error = glocal("run", "--data", ".", "--json")
    assert code == codes[result["status"]]
    assert json.loads(out) == result
    assert said in error
    code, out, _ = glocal("run", "--data", ".")
    assert out == ""


def test_events_are_lines_on_standard_error(capsys):
    console = Console()
    console({"step": "train", "event": "started"})
    console({"step": "train", "event": "progress", "text": "1 of 2 epochs"})
    console({"step": "train", "event": "finished", "seconds": 12.34})
    console({"step": "index", "event": "cached"})
    console({"step": "gate", "event": "failed"})
    out, error = capsys.readouterr()
    assert out == ""
    assert error.splitlines() == ["  ok      train         12.3 s", "  cached  index", "  FAILED  gate"]
    assert "\x1b" not in error


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("shop/grocery/images", "grocery"),
        ("shop/My Images", "My-Images"),
        ("grocery@0123abc", "grocery"),
        (".hidden", "hidden"),
        ("x" * 100, "x" * 64),
        ("/", "data"),
        ("s3://bucket/animals/images", "animals"),
    ],
)
def test_a_data_set_is_called_after_its_folder(source, name):
    assert default_name(source) == name


def test_a_source_is_found_from_wherever_the_steps_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    assert locate("images") == str(tmp_path / "images")
    assert locate("s3://bucket/prefix") == "s3://bucket/prefix"
    assert locate("grocery@0123abc") == "grocery@0123abc"
    with pytest.raises(InvalidInput, match="There is no folder nothing"):
        locate("nothing")


def test_the_pipeline_is_told_every_section_of_the_configuration():
    config = RunConfig()
    arguments = pipeline_arguments("x", "y", config, "because")
    told = [value for value in arguments.values() if isinstance(value, dict)]
    assert told == list(config.model_dump().values())
    assert (arguments["served_name"], arguments["golden_queries"]) == (config.serve.name, config.serve.golden_queries)


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

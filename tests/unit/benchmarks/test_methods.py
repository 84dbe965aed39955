"""The benchmark end to end on a handful of drawn images, with a small trunk of random weights."""

import json
import sys

import pytest

from benchmarks import methods, trials
from benchmarks.methods import command_line, main, names_of, selected, settings_of
from model.errors import InvalidInput
from model.evaluation.metrics import FIGURES
from model.files import read_json
from model.networks.methods import ABLATIONS, METHODS
from tests.support.datasets import draw_view

pytestmark = pytest.mark.slow

SMALL = ("model.trunk=test_efficientnet", "model.weights=none", "model.image_size=32", "train.device=cpu", "train.workers=0")
CLASSES, VIEWS = 15, 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    for label in range(CLASSES):
        (folder / f"{label:02}").mkdir()
        for view in range(VIEWS):
            (folder / f"{label:02}" / f"{view}.png").write_bytes(draw_view(label, view))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(images, home, monkeypatch, capsys):
    """Run the command with the small trunk; returns the last line of standard output, read."""

    def command(*arguments, data=1):
        given = [part for _ in range(data) for part in ("--data", str(images))]
        changes = [part for change in SMALL for part in ("--set", change)]
        monkeypatch.setenv("GLOCAL_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["methods", *given, *changes, "--epochs", "1", "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        return json.loads(captured.out.splitlines()[-1]), captured.err

    return command


@pytest.fixture
def trained(monkeypatch):
    """Counts the trainings."""
    calls = []
    real = trials.train
    monkeypatch.setattr(trials, "train", lambda *given, **named: calls.append(given[1].method) or real(*given, **named))
    return calls


def test_the_last_line_holds_every_figure_of_every_method_and_the_untrained_trunk_first(run):
    answer, said = run("--methods", "proxy_anchor,multi_head", "--seeds", "2")
    assert list(answer) == ["methods"]
    assert list(answer["methods"]) == ["untrained", "multi_head", "proxy_anchor"]
    for name, row in answer["methods"].items():
        assert all(0 <= row[figure] <= 1 for figure in FIGURES)
        assert row.keys() >= {"seconds", "parameters", "parameters_total", "dimensions", "query_ms"}
        assert row["seeds"] == (1 if name == "untrained" else 2)
        assert ("held_out" in row) == (name != "untrained")
        assert (row["intervals"]["map_at_r"] is None) == (name == "untrained")
        assert ("difference" in row) == (name != "multi_head")
    assert answer["methods"]["multi_head"]["dimensions"] == 512
    assert "trial 4 of 4" in said


def test_finished_trials_are_not_run_again(run, home, trained):
    first, _ = run("--methods", "proxy_anchor", "--seeds", "1")
    written = {file: file.stat().st_mtime_ns for file in (home / "benchmarks" / "results" / "trials").iterdir()}
    trained.clear()
    again, said = run("--methods", "proxy_anchor", "--seeds", "1")
    assert trained == []
    assert again == first
    assert "known" in said
    assert {file: file.stat().st_mtime_ns for file in (home / "benchmarks" / "results" / "trials").iterdir()} == written


def test_another_seed_runs_that_trial_alone(run, trained):
    run("--methods", "sona", "--seeds", "1")
    trained.clear()
    run("--methods", "sona", "--seeds", "2")
    assert trained == ["sona"]


def test_nothing_is_left_of_networks_and_checkpoints(run, home):
    run("--methods", "proxy_anchor", "--seeds", "1")
    work = home / "benchmarks" / "work"
    assert not (work / "training").exists()
    assert list((work / "networks").iterdir()) == []


def test_a_method_that_diverges_is_named_and_the_others_go_on(run, monkeypatch):
    real = trials.train

    def train(dataset, model, config, **named):
        if model.method == "abe":
            raise trials.Diverged("The loss is no longer finite in epoch 1.")
        return real(dataset, model, config, **named)

    monkeypatch.setattr(trials, "train", train)
    answer, _ = run("--methods", "abe,proxy_anchor", "--seeds", "1")
    assert "diverged" in answer["methods"]["abe"]["error"]
    assert answer["methods"]["proxy_anchor"]["map_at_r"] > 0


def test_a_trunk_that_learns_is_compared_as_well(run, home):
    answer, _ = run("--methods", "proxy_anchor", "--seeds", "1", "--trunk", "finetune")
    row = answer["methods"]["proxy_anchor"]
    assert 0 < row["parameters"] < row["parameters_total"]  # the early layers stay frozen
    assert row["chosen"].keys() == {"init", "learning_rate", "whole_heads", "epochs", "weights"}


def test_what_has_local_features_is_reranked_when_asked_for(run):
    answer, _ = run("--methods", "delg,proxy_anchor", "--seeds", "1", "--rerank")
    found = answer["methods"]["delg"]["reranked"]
    assert found.keys() == {"ratio", "map_at_r", "recall_at_1", "without", "queries", "query_ms"}
    assert found["without"]["map_at_r"] == pytest.approx(answer["methods"]["delg"]["map_at_r"])  # the sample is all of so few
    assert answer["methods"]["proxy_anchor"]["reranked"] is None


def test_several_data_sets_and_the_written_ablation(run, home, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "ABLATIONS", {"global_only": ABLATIONS["global_only"]})
    file = tmp_path / "ablation.md"
    answer, _ = run("--methods", "multi_head", "--ablation", "--seeds", "1", "--write-ablation", str(file), data=2)
    first, second = answer["data"].values()
    assert answer["methods"] == first["methods"]
    assert list(first["methods"]) == list(second["methods"]) == ["untrained", "multi_head", "global_only"]
    assert answer["mean_rank"].keys() == first["methods"].keys()
    assert sum(answer["mean_rank"].values()) == pytest.approx(6)
    assert f"{100 * first['methods']['global_only']['difference']['map_at_r']:+.2f}" in file.read_text()
    page = (home / "benchmarks" / "results" / "report.html").read_text()
    assert "Against multi_head" in page
    assert 'src="http' not in page
    assert read_json(home / "benchmarks" / "results" / "results.json")["data"].keys() == answer["data"].keys()


def test_all_methods_are_compared_unless_some_are_named():
    assert selected((), ablation=False) == [*METHODS, "global_only"]
    assert set(selected((), ablation=True)) == METHODS.keys() | ABLATIONS.keys()
    assert selected(("sona,delg", "abe"), ablation=False) == ["sona", "delg", "abe"]


def test_an_ablation_brings_the_method_it_changes():
    assert selected(("global_only",), ablation=False) == ["multi_head", "global_only"]


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidInput, match="no method best"):
        selected(("best",), ablation=False)


def test_data_sets_are_told_apart_by_name():
    assert names_of(["x/grocery/images", "y/grocery/images", "a b"]) == ["grocery", "grocery-2", "a-b"]


def test_a_flag_overrides_the_trunk_mode_and_a_setting_overrides_both():
    with pytest.raises(InvalidInput, match="is chosen by the benchmark"):
        settings_of("frozen", None, None, ["model.method=abe"])
    settings = settings_of("finetune", None, 5, ["train.patience=2"])
    assert (settings.model.image_size, settings.train.epochs, settings.train.patience) == (128, 5, 2)
    assert settings.data.leaks == "drop"


def test_the_command_names_no_place_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["methods", "--data", str(tmp_path / "x")])
    monkeypatch.chdir(tmp_path)
    assert command_line() == "python -m benchmarks.methods --data x"

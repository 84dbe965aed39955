import io
import sys

import pytest

from model.errors import InvalidInput
from model.schemas.run_event import RunEvent
from model.schemas.run_result import RunResult
from pipelines.cli.console import Console, confirm, summarise
from tests.support.reports import make_reranking


def test_events_are_lines_on_standard_error(capsys):
    console = Console()
    console(RunEvent.model_validate({"step": "train", "event": "started"}))
    console(RunEvent.model_validate({"step": "train", "event": "progress", "text": "1 of 2 epochs"}))
    console(RunEvent.model_validate({"step": "train", "event": "finished", "seconds": 12.34}))
    console(RunEvent.model_validate({"step": "index", "event": "cached"}))
    console(RunEvent.model_validate({"step": "version", "event": "warning", "text": "near duplicate: a.jpg: like b.jpg"}))
    console(RunEvent.model_validate({"step": "version", "event": "defect", "text": "leak: a.jpg: it is told with the failure"}))
    console(RunEvent.model_validate({"step": "gate", "event": "failed"}))
    out, error = capsys.readouterr()
    assert out == ""
    assert error.splitlines() == [
        "  ok      train         12.3 s",
        "  cached  index",
        "Warning: near duplicate: a.jpg: like b.jpg",
        "  FAILED  gate",
    ]
    assert "\x1b" not in error


def test_nothing_moves_where_the_terminal_cannot(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not Console().live
    monkeypatch.setenv("TERM", "xterm")
    assert Console().live


@pytest.mark.parametrize(("typed", "is_refused"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_a_person_at_a_terminal_is_asked_and_a_no_changes_nothing(monkeypatch, capsys, typed, is_refused):
    terminal = io.StringIO(typed)
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    if is_refused:
        with pytest.raises(InvalidInput, match="Nothing was changed"):
            confirm("Remove mugs?", yes=False)
    else:
        confirm("Remove mugs?", yes=False)
    assert "Remove mugs?" in capsys.readouterr().err


def test_where_nobody_can_be_asked_the_option_must_say_yes(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(InvalidInput, match=r"Remove mugs\? Nobody can be asked here"):
        confirm("Remove mugs?", yes=False)
    confirm("Remove mugs?", yes=True)


GAIN = {"epochs": 12, "best_epoch": 7, "untrained": 0.99, "init": 0.812, "best": 0.845, "saturated": False}


def test_a_run_says_what_its_training_gave(capsys):
    for training in (GAIN, GAIN | {"best_epoch": 0, "best": 0.812}):
        summarise(RunResult.model_validate({"status": "rejected", "training": training}))
    assert capsys.readouterr().err.splitlines() == [
        "  training  best epoch 7 of 12, held-out MAP@R untrained 0.990, init 0.812, best 0.845",
        "  training  the init was kept: no epoch was better (of 12), held-out MAP@R untrained 0.990, init 0.812",
    ]


def test_the_verdict_of_the_report_is_a_line_of_its_own_and_so_is_what_re_ranking_gains(capsys):
    figures = {"recall_at_1": 0.75, "recall_at_1_interval": [0.5, 0.9], "map_at_r": 0.4, "map_at_r_interval": [0.3, 0.5]}
    report = figures | {"untrained": figures, "verdict": "Training helps: so it is.", "path": "report.html"}
    summarise(RunResult.model_validate({"status": "rejected", "report": report | {"reranking": None}}))
    plain = ["  verdict   Training helps: so it is.", "  report    report.html"]
    assert capsys.readouterr().err.splitlines()[2:] == plain
    reranked = report | {"reranking": make_reranking().model_dump(mode="json")}
    summarise(RunResult.model_validate({"status": "rejected", "report": reranked}))
    gain = "  re-ranked MAP@R of 300 test queries 0.4000, re-ranked 0.4500 (+0.0500 [+0.0200, +0.0800])"
    assert capsys.readouterr().err.splitlines()[2:] == [gain, *plain]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["gate.max_regression"], "gate.max_regression"),
        (
            ["gate.min_map_at_r", "gate.max_size_mb", "gate.max_latency_ms"],
            "gate.min_map_at_r, gate.max_size_mb or gate.max_latency_ms",
        ),
    ],
)
def test_a_refusal_names_the_settings_and_the_decision(capsys, rules, said):
    refused = {"status": "rejected", "refused": ["It is too low."], "refused_rules": rules, "decision": "d/decision.json"}
    summarise(RunResult.model_validate(refused))
    assert capsys.readouterr().err.splitlines() == [
        "  refused   It is too low.",
        f"  hint      Better data or training, or another {said}. All rules: d/decision.json",
    ]


def test_every_defect_stands_between_the_headline_and_the_hint(capsys):
    error = {"step": "version", "headline": "x has 2 defects.", "hint": "See x.txt.", "log": "v.log"}
    defects = ["leak: a: b", "and 1 more in x.txt"]
    summarise(RunResult.model_validate({"status": "failed", "error": error | {"defects": defects}}))
    said = "Error: version: x has 2 defects.\n  leak: a: b\n  and 1 more in x.txt\n  See x.txt.\n  Log: v.log\n"
    assert capsys.readouterr().err == said

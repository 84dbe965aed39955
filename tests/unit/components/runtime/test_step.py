import json
import logging
import os
import signal
import subprocess
import sys

import pytest

from components.runtime import step as module
from components.runtime.step import EVENT, Step, code_revision, run_evidence, step
from model.environment import Environment
from model.errors import GlocalError, InvalidInput, Unavailable
from model.files import read_json


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run's folder, and an environment without a record in MLflow."""
    for name in ("GLOCAL_RUN_ID", "GLOCAL_TRACKING_URI", "GLOCAL_LOG_LEVEL", "GLOCAL_CODE_REVISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GLOCAL_RUN_FOLDER", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield tmp_path / "run"
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def events(capsys):
    """All events printed so far."""

    def read():
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith(EVENT) for line in lines)
        return [json.loads(line.removeprefix(EVENT)) for line in lines]

    return read


def test_a_step_says_when_it_begins_and_ends(run_folder, events):
    with step("train") as current:
        assert current.work == run_folder.parent / "home" / "work"
    first, last = events()
    assert first == {"step": "train", "event": "started"}
    assert (last["step"], last["event"]) == ("train", "finished")
    assert last["seconds"] > 0


def test_progress_is_told_once_a_second_and_at_the_end(run_folder, events, monkeypatch):
    now = iter([10.0, 10.5, 11.2, 11.3])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    current = Step("train", Environment())
    for done in (1, 2, 3, 4):
        current.progress(done, 4, "epochs")
    monkeypatch.undo()
    assert [event["text"] for event in events()] == ["1 of 4 epochs", "3 of 4 epochs", "4 of 4 epochs"]


def test_a_failure_is_one_line_and_a_hint_and_the_trace_goes_to_the_log(run_folder, events):
    with pytest.raises(InvalidInput), step("train"):
        raise InvalidInput("There is no trunk x.", "Set model.trunk.")
    assert events()[-1] == {
        "step": "train",
        "event": "failed",
        "headline": "There is no trunk x.",
        "hint": "Set model.trunk.",
        "exit_code": 2,
    }
    assert "Traceback" in (run_folder / "train.log").read_text()
    assert read_json(run_folder / "train.failed.json") == {"headline": "There is no trunk x.", "hint": "Set model.trunk."}


def test_an_unforeseen_error_is_explained_too(run_folder, events):
    with pytest.raises(ZeroDivisionError), step("train"):
        print(1 / 0)
    failed = events()[-1]
    assert failed["headline"] == "ZeroDivisionError: division by zero"
    assert failed["exit_code"] == 1
    assert "division by zero" in (run_folder / "train.log").read_text()


def test_what_cannot_succeed_is_not_tried_twice(run_folder, events):
    with pytest.raises(InvalidInput), step("train"):
        raise InvalidInput("bad")
    events()
    tried = []
    with pytest.raises(GlocalError, match="has failed in this run already"), step("train"):
        tried.append(True)
    assert not tried
    assert events() == []
    with step("record"):  # another step of the same run is not concerned
        tried.append(True)
    assert tried


@pytest.mark.parametrize("error", [Unavailable("The store does not answer."), ConnectionError("reset")])
def test_what_may_succeed_later_is_tried_again(run_folder, events, error):
    with pytest.raises(type(error)), step("train"):
        raise error
    with step("train"):
        pass
    assert [event["event"] for event in events()] == ["started", "failed", "started", "finished"]


def test_without_a_run_folder_a_step_leaves_no_files(run_folder, events, monkeypatch, tmp_path):
    monkeypatch.delenv("GLOCAL_RUN_FOLDER")
    with pytest.raises(InvalidInput), step("train"):
        raise InvalidInput("bad")
    assert list(run_folder.iterdir()) == []
    assert [each.name for each in (tmp_path / "home").iterdir()] == [".glocal-home"]


def test_evidence_is_copied_into_the_folder_of_the_run(run_folder, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("{}")
    for _ in range(2):
        run_evidence(Environment(), {"map_at_r": 1.0}, {"a": "b"}, {"report": tmp_path / "report"})
    assert [file.name for file in (run_folder / "report").iterdir()] == ["report.json"]


def test_figures_are_shown_and_kept_beside(tmp_path):
    class Metrics:
        path = str(tmp_path / "metrics")
        logged: dict[str, float] = {}  # noqa: RUF012

        def log_metric(self, name, value):
            self.logged[name] = value

    current = Step("train", Environment(), figures={"epochs": 3.0})
    current.publish(Metrics())
    assert Metrics.logged == read_json(tmp_path / "metrics") == {"epochs": 3.0}


def test_the_code_revision_names_the_source_and_not_the_byte_code():
    first = code_revision()
    code_revision.cache_clear()
    assert code_revision() == first
    assert len(first.split("+")[1]) == 12


WAITING = """
import threading
from components.runtime.step import step

with step("train"):
    threading.Event().wait(120)
"""
HOLDING = """
import sys
from pathlib import Path
from pipelines.runners.local import alive

with alive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def begin(code, *arguments):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=dict(os.environ), **pipes)


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_step_ends_with_the_run_that_wants_it(run_folder, how):
    with begin(HOLDING, run_folder) as holder:
        assert holder.stdout.readline() == "held\n"
        with begin(WAITING) as waiting:
            try:
                assert json.loads(waiting.stdout.readline().removeprefix(EVENT))["event"] == "started"
                assert waiting.poll() is None
                if how == "killed":
                    holder.send_signal(signal.SIGKILL)
                else:
                    holder.stdin.close()
                assert waiting.wait(timeout=60) == 137
                assert waiting.stdout.read() == ""
            finally:
                waiting.kill()
                holder.kill()


def test_a_step_that_nobody_holds_a_lock_for_runs_to_its_end(run_folder, events):
    """On a cluster there is no such lock."""
    with step("train"):
        pass
    assert events()[-1]["event"] == "finished"

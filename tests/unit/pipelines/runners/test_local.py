import io
import json

import pytest

from components.runtime.step import EVENT
from pipelines.runners.local import Outcome, _events, alive, is_alive


@pytest.fixture
def outcome(tmp_path):
    return Outcome(False, tmp_path / "run.log")


def event(**values) -> str:
    return EVENT + json.dumps(values) + "\n"


def test_finished_and_cached_steps_are_noted_in_their_order(outcome):
    outcome.take({"step": "version", "event": "started"})
    outcome.take({"step": "version", "event": "progress", "text": "1 of 2"})
    outcome.take({"step": "version", "event": "finished", "seconds": 1.5})
    outcome.take({"step": "train", "event": "cached"})
    assert outcome.steps == [
        {"name": "version", "seconds": 1.5, "cached": False},
        {"name": "train", "seconds": 0.0, "cached": True},
    ]
    assert outcome.failure is None


def test_the_first_failure_is_the_one_that_is_told(outcome):
    for step in ("train", "record"):
        outcome.take({"step": step, "event": "failed", "headline": f"{step} failed"})
    assert outcome.failure["headline"] == "train failed"
    assert outcome.steps == []


def test_events_are_found_in_whatever_surrounds_them_and_the_rest_is_the_log():
    lines = [
        "[KFP Executor] Looking for component `train`\n",
        event(step="train", event="started"),
        "\x1b[94m[train]\x1b[0m    " + event(step="train", event="finished", seconds=2.0),
        "12:00:00 - INFO - Task \x1b[96m'index'\x1b[0m finished\n",
        "done\n",
    ]
    log = io.StringIO()
    assert list(_events(lines, log)) == [
        {"step": "train", "event": "started"},
        {"step": "train", "event": "finished", "seconds": 2.0},
    ]
    assert log.getvalue() == lines[0] + lines[3] + lines[4]


def test_a_cache_hit_of_kfp_is_an_event_and_stays_in_the_log():
    log = io.StringIO()
    line = "Task smoke-test cache hit (key=abc). Outputs are taken from it.\n"
    assert list(_events([line], log)) == [{"step": "smoke-test", "event": "cached"}]
    assert log.getvalue() == line


def test_a_run_is_alive_as_long_as_its_lock_is_held(tmp_path):
    assert not is_alive(tmp_path)
    with alive(tmp_path):
        assert is_alive(tmp_path)
    assert not is_alive(tmp_path)

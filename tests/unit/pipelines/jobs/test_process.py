"""The process of a job: how far it is is what it was told, in a file that does not grow."""

import pytest

from model.schemas.run_event import RunEvent
from pipelines.jobs import __main__ as process
from pipelines.jobs.job import LOG, PROGRESS, Steps
from pipelines.jobs.kind import Outcome


@pytest.fixture
def told(tmp_path):
    return process._Told(tmp_path)


def read(folder):
    return Steps.load(folder / PROGRESS)


def test_the_steps_are_shown_as_far_as_they_have_come(tmp_path, told):
    for step, event, more in (
        ("wait", "started", {}),
        ("wait", "finished", {}),
        ("version", "cached", {}),
        ("enrol", "started", {}),
        ("enrol", "warning", {"text": "a copy"}),
        ("enrol", "finished", {"seconds": 2.5}),
        ("register", "failed", {"headline": "no room"}),
        ("gate", "progress", {"text": "1 of 2 pairs", "done": 1, "total": 2}),
    ):
        told(RunEvent(step=step, event=event, **more))
    told.save()
    found = read(tmp_path)
    assert [(step.name, step.state, step.seconds) for step in found.steps] == [
        ("version", "cached", None),
        ("enrol", "succeeded", 2.5),
        ("register", "failed", None),
        ("gate", "running", None),
    ]
    assert (found.steps[-1].done, found.steps[-1].total, found.steps[2].text) == (1, 2, "no room")
    assert found.warnings == ("a copy",)


def test_what_is_kept_is_bounded(tmp_path, told):
    for number in range(300):
        told(RunEvent(step="import", event="warning", text=f"{number} " + 1000 * "x"))
        told(RunEvent(step="import", event="progress", text=1000 * "y", done=number, total=300))
    told.save()
    found = read(tmp_path)
    assert len(found.warnings) == 200
    assert max(map(len, (*found.warnings, found.steps[0].text))) == 500


def test_progress_is_written_a_few_times_a_second(tmp_path, told):
    told(RunEvent(step="import", event="progress", done=1, total=9))
    told(RunEvent(step="import", event="progress", done=2, total=9))
    assert read(tmp_path).steps[0].done == 1
    told(RunEvent(step="import", event="progress", done=9, total=9))
    assert read(tmp_path).steps[0].done == 9


def test_a_log_that_is_too_large_is_emptied(tmp_path, told, monkeypatch):
    monkeypatch.setattr(process, "_LOG_BYTES", 100)
    with (tmp_path / LOG).open("ab", buffering=0) as printed:
        printed.write(bytes(101))
        told.save()
        printed.write(b"more")
    assert (tmp_path / LOG).read_bytes() == b"more"


def test_a_fault_of_ours_names_the_log(tmp_path, capsys):
    found = process._failed(RuntimeError("odd"), tmp_path)
    assert isinstance(found, Outcome)
    assert (found.said, str(tmp_path / LOG) in found.hint) == ("RuntimeError: odd", True)
    assert "RuntimeError: odd" in capsys.readouterr().err

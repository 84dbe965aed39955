import pytest

from model.schemas.run_event import RunEvent
from model.schemas.run_result import StepResult
from pipelines.runners.local import LocalRun, alive, is_alive


@pytest.fixture
def run(tmp_path):
    return LocalRun(tmp_path / "run.log")


def test_finished_and_cached_steps_are_noted_in_their_order(run):
    run.take(RunEvent(step="version", event="started"))
    run.take(RunEvent(step="version", event="progress", text="1 of 2"))
    run.take(RunEvent(step="version", event="finished", seconds=1.5))
    run.take(RunEvent(step="train", event="cached"))
    assert run.steps == [StepResult(name="version", seconds=1.5), StepResult(name="train", cached=True)]
    assert run.failure is None


def test_the_first_failure_is_the_one_that_is_kept_and_defects_are_collected(run):
    run.take(RunEvent(step="version", event="defect", text="leak: a: b"))
    for step in ("train", "record"):
        run.take(RunEvent(step=step, event="failed", headline=f"{step} failed"))
    assert run.failure.headline == "train failed"
    assert run.defects == ["leak: a: b"]
    assert run.steps == []


def test_a_run_is_alive_as_long_as_its_lock_is_held(tmp_path):
    assert not is_alive(tmp_path)
    with alive(tmp_path):
        assert is_alive(tmp_path)
    assert not is_alive(tmp_path)

import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from model.errors import Terminated
from model.home import Home
from model.schemas.run_event import RunEvent
from model.schemas.run_result import StepResult
from pipelines.run_folder import RunFolder
from pipelines.runners.local import alive, is_alive, run_local
from pipelines.runners.port import PipelineRun
from serving.processes import wait_until
from tests.support.work import make_work


@pytest.fixture
def run(tmp_path):
    return PipelineRun(tmp_path / "run.log")


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


def test_the_step_that_started_and_did_not_end_is_under_way(run):
    for step, event in (("version", "started"), ("version", "finished"), ("train", "started"), ("record", "started")):
        run.take(RunEvent(step=step, event=event))
    run.take(RunEvent(step="record", event="finished"))
    assert run.under_way == "train"
    run.take(RunEvent(step="train", event="failed"))
    assert run.under_way == ""


@pytest.mark.parametrize("script", ["cat > /dev/null; kill -9 $$", "kill -9 $$", "cat > /dev/null; exit 137"])
def test_a_runner_that_was_killed_is_a_failure_with_the_signal(tmp_path, monkeypatch, script):
    runner = tmp_path / "runner"
    runner.write_text(f"#!/bin/sh\n{script}\n")
    runner.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(runner))
    done = run_local(make_work(tmp_path / "p.yaml", {}, tmp_path, Home(tmp_path)), lambda _: None)
    assert (done.succeeded, done.failure, done.killed_by) == (False, None, 9)


def test_a_run_that_somebody_cancels_ends_with_its_processes(tmp_path, monkeypatch):
    runner, begun = tmp_path / "runner", tmp_path / "begun"
    runner.write_text(f"#!/bin/sh\ncat > /dev/null\necho $$ > {begun}\nsleep 600\n")
    runner.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(runner))

    def cancel():
        wait_until(lambda: begun.exists() and begun.read_text().endswith("\n"), deadline_s=30)
        RunFolder(tmp_path).cancel("ana")

    with ThreadPoolExecutor() as pool:
        pool.submit(cancel)
        with pytest.raises(Terminated, match="ana cancelled this run"):
            run_local(make_work(tmp_path / "p.yaml", {}, tmp_path, Home(tmp_path)), lambda _: None)
    assert not psutil.pid_exists(int(begun.read_text()))

"""Errands: how far each has come is what its process reported, and its end is the truth."""

import shutil

import pytest

from model.errors import Conflict, InvalidInput, NotFound
from model.files import write_json
from model.home import Home
from model.schemas.run_event import RunEvent
from pipelines.errands import state
from pipelines.errands.state import EVENTS, begin_errand, errand_progress, errands
from serving.processes import wait_until


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path / "home")


@pytest.fixture
def never_ends(monkeypatch):
    """Errands whose process does nothing: `sleep` in place of Python."""
    started = []

    def start(command, **settings):
        process = start_detached(["sh", "-c", "sleep 60", command[-1]], **settings)
        started.append(process)
        return process

    start_detached = state.start_detached
    monkeypatch.setattr(state, "start_detached", start)
    yield started
    for process in started:
        process.kill()
        process.wait()


def begin(home, **more):
    return begin_errand(home, "revise", "1 correction into drawn", {"corrections": ["x"]}, by="ana", **more)


def report(home, errand, *events):
    lines = [RunEvent(step=step, event=event, **more).to_line() for step, event, more in events]
    (home.dashboard.errands / errand.id / EVENTS).write_bytes(b"".join(lines) + b'{"step": "torn')


def test_an_errand_that_fails_says_why(home):
    errand = begin(home)
    assert wait_until(lambda: errand_progress(home, errand.id).state != "running", deadline_s=60)
    progress = errand_progress(home, errand.id)
    assert (progress.state, progress.errand.by) == ("failed", "ana")
    assert progress.ended.reasons == ("There is no correction 'x'.",)
    assert [(step.name, step.state) for step in progress.steps] == [("revision", "failed")]


def test_the_steps_are_shown_as_far_as_they_have_come(home, never_ends):
    errand = begin(home, images={"1.png": b"x"})
    report(
        home,
        errand,
        ("wait", "started", {}),
        ("wait", "finished", {}),
        ("version", "cached", {}),
        ("enrol", "started", {}),
        ("enrol", "warning", {"text": "a copy"}),
        ("enrol", "finished", {"seconds": 2.5}),
        ("gate", "progress", {"text": "1 of 2 pairs", "done": 1, "total": 2}),
    )
    progress = errand_progress(home, errand.id)
    assert progress.state == "running"
    assert [(step.name, step.state, step.seconds) for step in progress.steps] == [
        ("version", "cached", None),
        ("enrol", "succeeded", 2.5),
        ("gate", "running", None),
    ]
    assert (progress.steps[-1].done, progress.steps[-1].total) == (1, 2)
    assert progress.warnings == ("a copy",)


def test_an_errand_whose_process_is_gone_was_killed_and_its_images_go(home, never_ends):
    errand = begin(home, images={"1.png": b"x"})
    report(home, errand, ("enrol", "started", {}))
    never_ends[0].kill()
    never_ends[0].wait()
    progress = errand_progress(home, errand.id)
    assert (progress.state, progress.steps[0].state) == ("killed", "failed")
    begin(home)
    assert not (home.dashboard.errands / errand.id / "images").exists()


def test_another_process_with_its_number_is_not_the_errands(home, never_ends):
    errand = begin(home)
    write_json(home.dashboard.errands / errand.id / "process.json", {"pid": 1})
    assert errand_progress(home, errand.id).state == "killed"


def test_the_latest_are_kept_and_listed_first(home, never_ends, monkeypatch):
    monkeypatch.setattr(state, "KEPT", 1)
    first = begin(home)
    never_ends[0].kill()
    never_ends[0].wait()
    shutil.move(home.dashboard.errands / first.id, home.dashboard.errands / "20200101-000000-000000")
    second = begin(home)
    third = begin(home)
    assert {each.errand.id for each in errands(home, "revise")} == {second.id, third.id}
    assert errands(home, "enrol") == []


def test_a_form_that_is_sent_twice_is_one_errand(home, never_ends):
    one = begin(home, errand_id=state.new_id())
    assert begin(home, errand_id=one.id) == one
    assert len(never_ends) == 1
    with pytest.raises(Conflict):
        begin_errand(home, "revise", "2 corrections into drawn", {"corrections": ["y"]}, by="ana", errand_id=one.id)
    with pytest.raises(InvalidInput):
        begin(home, errand_id="../x")


@pytest.mark.parametrize("name", ["", "..", "x", "20200101-000000-000000"])
def test_what_is_no_errand_is_not_found(home, name):
    with pytest.raises(NotFound):
        errand_progress(home, name)

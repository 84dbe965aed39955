"""A job that is followed is told as its events were."""

from datetime import UTC, datetime

import pytest

from model.errors import InvalidInput, Unavailable
from pipelines.jobs import following
from pipelines.jobs.following import follow
from pipelines.jobs.status import Ended, JobStatus, Step

NOW = datetime.now(UTC)


def status(state="running", **more):
    return JobStatus(id="1", kind="import", doing="importing /x", by="ana", at=NOW, state=state, **more)


def ended(state="succeeded", **more):
    return Ended(at=NOW, state=state, headline="done", **more)


def test_each_change_of_a_step_and_each_warning_is_told_once(monkeypatch):
    monkeypatch.setattr(following, "_PAUSE_S", 0)
    waits = Step(name="wait", state="waiting")
    half, whole = (Step(name="import", state="running", text=f"{done} of 2", done=done, total=2) for done in (1, 2))
    over = Step(name="import", state="succeeded", seconds=1.5)
    looks = iter(
        [
            status(steps=(waits,)),
            status(steps=(half,)),
            status(steps=(half,), warnings=("a copy",)),
            status(steps=(whole,), warnings=("a copy",)),
            status("succeeded", steps=(over,), warnings=("a copy", "another"), ended=ended(), result={"x": 1}),
        ]
    )
    told = []
    assert follow(lambda: next(looks), told.append).outcome() == {"x": 1}
    assert [(event.event, event.text, event.seconds) for event in told] == [
        ("progress", "waits for its turn", 0),
        ("progress", "1 of 2", 0),
        ("warning", "a copy", 0),
        ("progress", "2 of 2", 0),
        ("finished", "", 1.5),
        ("warning", "another", 0),
    ]


def test_a_job_that_failed_or_was_killed_raises_what_it_says():
    failed = status("failed", ended=ended("failed", hint="Mend it.", details=("a.png", "b.png"), error="invalid-input"))
    with pytest.raises(InvalidInput, match="done") as error:
        failed.outcome()
    assert error.value.hint == "Mend it. a.png; b.png"
    with pytest.raises(Unavailable, match="Importing /x was killed") as error:
        status("killed", note="Nothing was changed.").outcome()
    assert error.value.hint == "Nothing was changed."


def test_an_action_that_says_itself_that_it_failed_is_answered():
    refused = status("rejected", ended=ended("rejected"), result={"status": "rejected"})
    assert refused.outcome() == {"status": "rejected"}

import pytest

from components.runtime import step as module
from components.runtime.events import read_events
from components.runtime.step import Step, step
from model.environment import Environment
from model.errors import GlocalError, InvalidInput, Unavailable
from model.files import read_json


@pytest.fixture
def events(run_folder):
    """The events emitted since the last call, without their times and without fields that say nothing."""
    offset = 0

    def read():
        nonlocal offset
        found, offset = read_events(run_folder, offset)
        return [event.model_dump(exclude_defaults=True, exclude={"at"}) for event in found]

    return read


def test_a_step_says_when_it_begins_and_ends(run_folder, events):
    work = run_folder.parent / "home" / "work"
    with step("train") as current:
        assert (current.work(), current.work("own")) == (work, work / "own")
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
    assert [(event["text"], event["done"], event["total"]) for event in events()] == [
        ("1 of 4 epochs", 1, 4),
        ("3 of 4 epochs", 3, 4),
        ("4 of 4 epochs", 4, 4),
    ]


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
    assert "exit_code" not in failed  # 1 is the default
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


def test_figures_are_shown_and_kept_beside(tmp_path):
    class Metrics:
        path = str(tmp_path / "metrics")
        logged: dict[str, float] = {}  # noqa: RUF012

        def log_metric(self, name, value):
            self.logged[name] = value

    current = Step("train", Environment(), figures={"epochs": 3.0})
    current.publish(Metrics())
    assert Metrics.logged == read_json(tmp_path / "metrics") == {"epochs": 3.0}


def test_the_log_has_start_progress_warnings_figures_and_end(run_folder):
    with step("train") as current:
        current.progress(4, 4, "epochs")
        current.warn("Validation is saturated.")
        current.figures["best_epoch"] = 2.0
        current.tags["release"] = "abc"
    log = (run_folder / "train.log").read_text()
    for line in (
        "The step starts.",
        "4 of 4 epochs",
        "WARNING train: Validation",
        "best_epoch: 2.0",
        "release: abc",
        "The step ends",
    ):
        assert line in log

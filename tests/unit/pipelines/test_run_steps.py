"""The steps of a run from its compiled pipeline and its events."""

import pytest

from model.schemas.run_event import RunEvent
from pipelines.compiled import compile_pipeline
from pipelines.run_steps import Task, steps_of_events, tasks_of

TASKS = [Task("a", ()), Task("b", ("a",)), Task("c", ("b",))]


def event(step, kind, at=0.0, **more):
    return RunEvent(step=step, event=kind, at=at, **more)


def states(steps):
    return [step.state for step in steps]


@pytest.mark.slow
def test_the_tasks_of_the_training_stand_in_their_order_without_kfps_groups(tmp_path):
    tasks = tasks_of(compile_pipeline(tmp_path / "pipeline.yaml"))
    after = {task.name: task.after for task in tasks}
    assert [task.name for task in tasks if task.looped] == ["embed"]
    assert (after["embed"], after["index"]) == (("train",), ("embed",))
    assert [name for name in after if name != "embed"] == [
        "version",
        "train",
        "index",
        "evaluate",
        "gate",
        "register",
        "deploy",
        "smoke-test",
        "record",
    ]
    assert (after["version"], after["train"], after["gate"]) == ((), ("version",), ("evaluate",))
    assert (after["register"], after["record"]) == (("gate",), ("smoke-test",))


@pytest.mark.slow
def test_the_tasks_of_an_enrolment_have_the_names_of_its_steps(tmp_path):
    tasks = tasks_of(compile_pipeline(tmp_path / "pipeline.yaml", "enrolment"))
    assert [task.name for task in tasks] == ["version", "enrol", "gate", "register", "deploy", "smoke-test", "record"]


@pytest.mark.parametrize("text", ["", "[", "root: 3", "root: {dag: {tasks: {a: {componentRef: {name: x}}}}}\ncomponents: {}"])
def test_a_damaged_pipeline_has_no_tasks(tmp_path, text):
    (tmp_path / "pipeline.yaml").write_text(text)
    assert tasks_of(tmp_path / "pipeline.yaml") == ()


def test_what_runs_what_waits_and_how_far_it_is():
    running = [event("a", "cached"), event("b", "started", 1), event("b", "progress", 2, text="2 of 5", done=2, total=5)]
    steps = steps_of_events(TASKS, running, "running")
    assert states(steps) == ["cached", "running", "waiting"]
    assert (steps[1].text, steps[1].done, steps[1].total, steps[1].seconds) == ("2 of 5", 2, 5, None)


def test_a_retry_is_an_attempt_of_its_own():
    tried = [
        event("a", "started", 1),
        event("a", "failed", 3, headline="no disk"),
        event("a", "started", 4),
        event("a", "finished", 9),
    ]
    step = steps_of_events(TASKS, tried, "succeeded")[0]
    assert [(each.began, each.ended, each.state) for each in step.attempts] == [(1, 3, "failed"), (4, 9, "succeeded")]
    assert (step.state, step.headline, step.seconds) == ("succeeded", "", 7)


def test_what_was_under_way_when_the_run_was_killed_was_killed_and_the_rest_is_left_out():
    steps = steps_of_events(TASKS, [event("a", "started", 1), event("a", "finished", 2), event("b", "started", 3)], "killed")
    assert states(steps) == ["succeeded", "killed", "skipped"]
    assert steps[1].seconds is None  # nobody noted its end


def test_a_step_of_no_known_task_is_added_and_the_run_itself_is_no_step():
    steps = steps_of_events(TASKS[:1], [event("run", "warning", text="renamed"), event("x", "cached")], "running")
    assert [step.name for step in steps] == ["a", "x"]


LOOP = [Task("a", ()), Task("b", ("a",), looped=True), Task("c", ("b",))]


def test_a_loop_over_nothing_is_no_step():
    steps = steps_of_events(LOOP, [], "running")
    assert [(step.name, step.after) for step in steps] == [("a", ()), ("c", ("a",))]


def test_a_loop_has_a_step_for_each_item_that_has_begun():
    begun = [event("a", "cached"), event("b-10", "started", 1), event("b-2", "started", 1), event("b-2", "finished", 2)]
    steps = steps_of_events(LOOP, begun, "running")
    assert [(step.name, step.after) for step in steps] == [
        *[("a", ()), ("b-2", ("a",)), ("b-10", ("a",))],
        ("c", ("b-2", "b-10")),
    ]
    assert states(steps) == ["cached", "succeeded", "running", "waiting"]

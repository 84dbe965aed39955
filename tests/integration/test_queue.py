"""The queue with its real worker, in a home of its own: what is executed, ended, killed, and executed after a restart."""

import os
import signal
import time
from datetime import UTC, datetime

import psutil
import pytest

from model.claim import claim
from model.config import parse_config
from model.environment import Environment
from model.files import read_json
from model.home import Home
from model.schemas.order import Order
from model.schemas.schedule import Schedule
from pipelines.queue.again import again
from pipelines.queue.orders import OPEN, cancel, order_state, orders, submit
from pipelines.queue.preview import preview
from pipelines.queue.schedules import add_schedule, pause_schedule, schedules
from pipelines.queue.stored import StoredOrder
from pipelines.queue.worker import end_worker, ensure_worker, find_worker
from pipelines.step_reasons import step_reasons
from serving.processes import wait_until
from serving.registry.runs import Runs
from tests.support.commands import command, end, glocal, last_line, processes
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration

SETTINGS = {"train": {"epochs": 0, "folds": 1}, "evaluate": {"samples": 100}, "gate": {"max_size_mb": 0.1}}
"""Of a run that the gate rejects, so that nothing is deployed."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    found = Environment(home=claim(Home.at(tmp_path_factory.mktemp("home"))))
    yield found
    end_worker(found.home)
    end(found.home.root)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("images") / "shop"
    for label in range(6):
        for view in range(2):
            file = root / f"class {label}" / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw_view(label, view))
    return root


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A source whose run fails at its first step."""
    return tmp_path_factory.mktemp("empty")


def order(environment, identity, source, user="ann", **more):
    return submit(environment, Order(id=identity, source=str(source), user=user, **more))


def wait_for(environment, identity, state, deadline_s=600):
    """Wait for the end of an order, which is this one."""
    assert wait_until(lambda: order_state(environment, identity).state not in OPEN, deadline_s=deadline_s)
    ended = order_state(environment, identity)
    assert ended.state == state, ended
    return ended


def wait_for_steps(environment, identity):
    """Wait until the run of an order is on record and its first step has begun."""

    def has_begun():
        state = order_state(environment, identity)
        return state.run_id and (Home.at(state.folder).root / "events.jsonl").exists()

    assert wait_until(has_begun, deadline_s=300), order_state(environment, identity)
    return order_state(environment, identity)


def test_queued_runs_are_executed_one_by_one_and_the_plan_of_the_second_is_what_it_does(environment, shop):
    runs = Runs(environment.mlflow_uri)
    before = preview(str(shop), "", parse_config(SETTINGS), environment)
    assert {step.step for step in before.steps if step.will == "cached"} == set()
    assert before.steps[1].why == "These data were not imported before."
    order(environment, "first", shop, settings=SETTINGS, why="spring")
    worker = ensure_worker(environment)
    order(environment, "second", shop, user="bob", settings=SETTINGS, again_of="x")
    begun = wait_for_steps(environment, "first")
    assert ensure_worker(environment) == worker
    assert os.getsid(begun.pid) == begun.pid != os.getsid(worker.pid)
    assert [(each.order.id, each.state, each.place) for each in orders(environment)] == [
        ("first", "running", None),
        ("second", "queued", 1),
    ]
    ended = wait_for(environment, "first", "rejected")
    record = runs.run(ended.run_id)
    assert (record.user, record.why, record.order) == ("ann", "spring", "first")
    assert (record.state, record.folder) == (ended.state, ended.folder)
    plan = preview(str(shop), "", parse_config(SETTINGS), environment)
    second = wait_for(environment, "second", "rejected")
    result = read_json(Home.at(second.folder).root / "result.json")
    cached = {step["name"] for step in result["steps"] if step["cached"]}
    assert cached == {step.step for step in plan.steps if step.will == "cached"} == {"train", "index", "evaluate"}
    assert plan.assumes.startswith(f"{shop} has not changed since it was imported as shop@")
    reasons = {reason.step: reason for reason in step_reasons(runs, runs.run(second.run_id))}
    assert {name for name, reason in reasons.items() if not reason.ran} == cached
    assert record.name in reasons["train"].why
    assert runs.run(second.run_id).user == "bob"


def test_a_plan_with_another_setting_names_it_and_the_steps_before_are_cached(environment, shop):
    pin = Runs(environment.mlflow_uri).runs(1)[0].data
    changed = {**SETTINGS, "evaluate": {"samples": 101}}
    plan = {step.step: step for step in preview(f"shop@{pin.rev}", "", parse_config(changed), environment).steps}
    assert [name for name, step in plan.items() if step.will == "cached"] == ["train", "index"]
    assert "evaluate.samples is 101, and was 100" in plan["evaluate"].why
    other_split = parse_config({**SETTINGS, "data": {"validation_fraction": 0.5}})
    steps = preview(str(shop), "", other_split, environment).steps
    assert {step.will for step in steps} == {"runs"}
    assert steps[1].why == f"The settings of the import are not those of {pin.named}."


def test_what_a_run_was_started_with_is_found_on_its_record(environment, shop):
    runs = Runs(environment.mlflow_uri)
    found = again(runs, runs.runs(1)[0].id)
    assert (found.source, found.name, found.settings, found.dropped) == (str(shop), "", SETTINGS, {})


def test_a_run_that_fails_says_why_and_the_next_one_is_executed(environment, empty):
    ensure_worker(environment)
    order(environment, "fails", empty)
    order(environment, "fails-too", empty, settings={"data": {"licence": "none"}})
    failed = wait_for(environment, "fails", "failed")
    assert (failed.error.step, failed.error.headline.split(" has ")[0]) == ("version", str(empty))
    assert wait_for(environment, "fails-too", "failed").begun >= failed.ended


def test_a_run_whose_source_is_gone_when_it_is_due_is_refused(environment, tmp_path):
    source = tmp_path / "gone"
    source.mkdir()
    end_worker(environment.home)
    order(environment, "gone", source)
    source.rmdir()
    ensure_worker(environment)
    refused = wait_for(environment, "gone", "refused")
    assert (refused.error.headline, refused.run_id) == (f"There is no folder {source}.", "")


def test_a_run_that_is_cancelled_ends_as_by_ctrl_c_and_says_by_whom(environment, shop):
    ensure_worker(environment)
    order(environment, "cancelled", shop, settings={"train": {"epochs": 3}})
    begun = wait_for_steps(environment, "cancelled")
    ended = cancel(environment, "cancelled", "bob", wait_s=90)
    assert (ended.state, ended.cancelled_by, ended.pid) == ("killed", "bob", None)
    assert Runs(environment.mlflow_uri).run(begun.run_id).state == "killed"
    assert not psutil.pid_exists(begun.pid)


def test_a_run_whose_process_is_killed_is_shown_and_recorded_as_killed(environment, shop):
    ensure_worker(environment)
    order(environment, "killed", shop, settings={"train": {"epochs": 4}})
    begun = wait_for_steps(environment, "killed")
    os.kill(begun.pid, signal.SIGKILL)
    wait_for(environment, "killed", "killed", deadline_s=5)
    runs = Runs(environment.mlflow_uri)
    assert wait_until(lambda: runs.run(begun.run_id).state == "killed", deadline_s=30)


def test_a_killed_worker_leaves_nothing_running_and_another_one_goes_on_with_what_was_queued(environment, shop, empty):
    worker = ensure_worker(environment)
    order(environment, "under-way", shop, settings={"train": {"epochs": 5}})
    order(environment, "waits", empty)
    begun = wait_for_steps(environment, "under-way")
    os.kill(worker.pid, signal.SIGKILL)
    assert wait_until(lambda: find_worker(environment.home) is None, deadline_s=5)
    assert [(each.order.id, each.state) for each in orders(environment)[:2]] == [("waits", "queued"), ("under-way", "killed")]
    assert wait_until(lambda: not processes(environment.home.root), deadline_s=10), processes(environment.home.root)
    assert ensure_worker(environment).pid != worker.pid
    wait_for(environment, "waits", "failed")
    ended = order_state(environment, "under-way")
    assert (ended.state, ended.begun, ended.folder) == ("killed", begun.begun, begun.folder)
    runs = Runs(environment.mlflow_uri)
    assert wait_until(lambda: runs.run(begun.run_id).state == "killed", deadline_s=30)
    assert sum(run.order == "under-way" for run in runs.runs()) == 1


DAMAGES = {
    "removed": lambda file: file.unlink(),
    "emptied": lambda file: os.truncate(file, 0),
    "overwritten": lambda file: file.write_bytes(b"x" * 10_000),
}
"""What becomes of the queue's database under the worker that has it open."""


@pytest.mark.long
def test_what_is_queued_is_executed_whatever_becomes_of_the_queues_database(environment, tmp_path):
    worker, home = ensure_worker(environment), environment.home
    assert wait_until(home.queue.tasks.is_file, deadline_s=60)
    source = tmp_path / "gone"
    source.mkdir()
    for name, damage in DAMAGES.items():
        damage(home.queue.tasks)
        order(environment, name, source)
        assert wait_until(lambda name=name: order_state(environment, name).state != "queued", deadline_s=300), name
    killed = Order(id="killed-before-it-was-there", source=str(source), user="ann")
    StoredOrder(home.queue.orders / killed.id).create(killed)
    home.queue.worker.write_text("{")
    assert wait_until(lambda: order_state(environment, killed.id).state != "queued", deadline_s=300)
    assert wait_until(lambda: find_worker(home) == worker, deadline_s=300)


@pytest.mark.long
def test_a_schedule_orders_at_its_minute_and_who_added_it_is_recorded(environment, empty):
    ensure_worker(environment)
    now = time.time()
    add_schedule(environment, Schedule(id="often", crontab="* * * * *", source=str(empty), user="carl"))
    assert wait_until(lambda: schedules(environment).schedules[0].last, deadline_s=75)
    pause_schedule(environment, "often")
    last = schedules(environment).schedules[0].last
    assert datetime.fromtimestamp(now, UTC) < last.order.time
    state = wait_for(environment, last.order.id, "failed")
    assert Runs(environment.mlflow_uri).run(state.run_id).user == "carl"


def test_the_command_line_orders_lists_and_cancels(environment, empty, shop):
    end_worker(environment.home)
    home = environment.home.root
    code, out, error = glocal(home, command("run", empty, "--queue", "--why", "by hand"))
    identity = out.strip()
    assert (code, f"glocal runs cancel {identity}" in error) == (0, True)
    wait_for(environment, identity, "failed")
    assert glocal(home, command("runs", "stop"))[:2] == (0, "stopped\n")
    order(environment, "left", empty)
    code, out, error = glocal(home, command("runs", "--limit", "1"))
    lines = out.splitlines()
    assert (code, len(lines), lines[0].startswith("queued, place 1  left  ")) == (0, 2, True)
    assert "glocal runs start" in error
    assert "by hand" in lines[1]
    code, out, _ = glocal(home, command("runs", "cancel", "left", "--json"))
    assert (code, last_line(out)["state"]) == (0, "cancelled")
    code, _, error = glocal(home, command("runs", "cancel", "left"))
    assert (code, error.splitlines()[0]) == (4, "Error: The order left has ended: cancelled.")
    listed = last_line(glocal(home, command("runs", "--json"))[1])
    assert {each["order"]["id"]: each["state"] for each in listed["orders"]}["left"] == "cancelled"
    assert not [each for each in listed["orders"] if each["state"] in OPEN]

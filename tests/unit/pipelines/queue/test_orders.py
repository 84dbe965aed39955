"""Orders on disk, without a worker: what is kept, listed and cancelled."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.environment import Environment
from model.errors import Conflict, InvalidInput, NotFound
from model.files import write_json
from model.home import Home
from model.schemas.order import Order
from model.schemas.run_record import Failure
from model.schemas.unreadable import unreadable_line
from pipelines.queue.orders import cancel, order_state, orders, read_queue, submit
from pipelines.queue.stored import Begun, StoredOrder
from pipelines.queue.tasks import open_tasks

AT_ONCE = """
import sys
from model.environment import Environment
from model.schemas.order import Order
from pipelines.queue.orders import submit
sys.stdin.readline()
print(submit(Environment(), Order(id="double", source=sys.argv[1], user="ann")).id)
"""


@pytest.fixture
def environment(tmp_path):
    return Environment(home=Home.at(tmp_path / "home"))


@pytest.fixture
def images(tmp_path):
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def ordered(environment, images):
    """Puts an order by ann into the queue."""

    def order(identity, **more):
        return submit(environment, Order(id=identity, source=str(images), user="ann", **more))

    return order


def begun(environment, identity, *, worker="gone", folder=None):
    """Note that an order was given to a process, as a worker does."""
    stored = StoredOrder(environment.home.queue.orders / identity)
    stored.begin(Begun(at=datetime.now(UTC), worker=worker, folder=str(folder or environment.home.runs / identity), pid=1))
    return stored


def tasks(environment):
    """The ids of the orders in huey's queue, the next first."""
    return [task.args[0] for task in open_tasks(environment.home.queue, print)[0].pending()]


def test_what_is_ordered_is_listed_in_its_order_with_its_place(environment, ordered):
    kept = [ordered(each) for each in ("first", "second", "third")]
    assert [(each.order, each.state, each.place) for each in orders(environment)] == [
        (order, "queued", place) for place, order in enumerate(kept, 1)
    ]
    assert order_state(environment, "second").place == 2
    assert tasks(environment) == ["first", "second", "third"]


def test_the_same_id_twice_is_one_order_and_with_other_settings_it_is_refused(environment, ordered):
    assert ordered("one", settings={"train": {"epochs": 3}}) == ordered("one", settings={"train": {"epochs": 3}})
    assert (len(orders(environment)), tasks(environment)) == (1, ["one"])
    with pytest.raises(Conflict, match="another order one"):
        ordered("one", settings={"train": {"epochs": 4}})


def test_an_order_that_is_repeated_after_its_source_is_gone_is_the_one_that_was_kept(environment, ordered, images):
    kept = ordered("one")
    images.rmdir()
    assert ordered("one") == kept


def test_processes_that_order_the_same_at_once_order_it_once(environment, images):
    words = [sys.executable, "-c", AT_ONCE, str(images)]
    own = os.environ | {"GLOCAL_HOME": str(environment.home.root)}
    started = [subprocess.Popen(words, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for each in started:
        each.stdin.write("now\n")
        each.stdin.flush()
    assert [each.communicate(timeout=100)[0] for each in started] == ["double\n"] * 3
    assert ([each.order.id for each in orders(environment)], tasks(environment)) == (["double"], ["double"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "no/such/folder"}, "There is no folder no/such/folder."),
        ({"settings": {"train": {"epoch": 3}}}, "There is no setting train.epoch."),
        ({"settings": {"train": {"epochs": "many"}}}, "Setting train.epochs: "),
        ({"settings": {"model": {"method": "os.system"}}}, "Setting model.method: "),
        ({"name": ".hidden"}, "'.hidden' cannot be the name of a data set."),
    ],
)
def test_what_glocal_run_would_refuse_is_refused_at_once_and_not_kept(environment, images, fields, said):
    with pytest.raises(InvalidInput) as error:
        submit(environment, Order(**{"id": "one", "source": str(images), "user": "ann", **fields}))
    assert error.value.headline.startswith(said)
    assert orders(environment) == []


@pytest.mark.parametrize("identity", ["", "..", "a/b", "-a", "a b", "x" * 101, "\u00e4"])
def test_an_id_that_could_name_another_folder_is_refused(identity):
    with pytest.raises(InvalidInput, match="id: "):
        Order.given(id=identity, source=".", user="ann")


def test_a_relative_source_is_kept_as_the_folder_that_it_names_here(environment, images, monkeypatch):
    monkeypatch.chdir(images.parent)
    assert submit(environment, Order(id="one", source="shop", user="ann")).source == str(images)


def test_a_queued_order_that_is_cancelled_says_by_whom_and_its_place_is_free(environment, ordered):
    for each in ("first", "second"):
        ordered(each)
    ended = cancel(environment, "first", "bob")
    assert (ended.state, ended.cancelled_by, ended.place) == ("cancelled", "bob", None)
    assert [(each.order.id, each.state, each.place) for each in orders(environment)] == [
        ("second", "queued", 1),
        ("first", "cancelled", None),
    ]
    with pytest.raises(Conflict, match="The order first has ended: cancelled"):
        cancel(environment, "first", "ann")


@pytest.mark.parametrize("identity", ["none", "../orders", ".", ""])
def test_an_order_that_is_not_there_is_not_found(environment, ordered, identity):
    ordered("one")
    for act in (order_state, lambda *known: cancel(*known, "ann")):
        with pytest.raises(NotFound):
            act(environment, identity)


def test_what_was_under_way_when_its_worker_died_is_killed_and_not_running(environment, ordered):
    ordered("one")
    begun(environment, "one")
    (state,) = orders(environment)
    assert (state.state, state.pid, state.place) == ("killed", None, None)
    with pytest.raises(Conflict):
        cancel(environment, "one", "ann")


def test_a_run_that_ended_before_its_worker_died_is_shown_as_it_ended(environment, ordered, tmp_path):
    ordered("one")
    begun(environment, "one", folder=tmp_path / "run")
    error = {"step": "version", "headline": "There are defects.", "hint": "Mend them.", "log": "x", "defects": []}
    write_json(tmp_path / "run" / "run.json", {"run_id": "abc"})
    write_json(tmp_path / "run" / "result.json", {"status": "failed", "error": error})
    (state,) = orders(environment)
    assert (state.state, state.run_id) == ("failed", "abc")
    assert state.error == Failure(step="version", headline="There are defects.", hint="Mend them.")


def test_a_run_that_is_refused_before_it_begins_is_no_killed_run(environment, ordered, tmp_path):
    ordered("one")
    begun(environment, "one", folder=tmp_path / "run").end_as_its_run(Failure(step="", headline="There is no folder x."))
    (state,) = orders(environment)
    assert (state.state, state.error.headline, state.run_id) == ("refused", "There is no folder x.", "")


def test_an_end_that_is_noted_stays(environment, ordered):
    ordered("one")
    stored = begun(environment, "one")
    stored.end("succeeded")
    stored.end("killed")
    assert order_state(environment, "one").state == "succeeded"


def test_of_those_that_ended_the_latest_are_listed_newest_first(environment, ordered):
    for number in range(4):
        ordered(f"order{number}")
        cancel(environment, f"order{number}", "ann")
    assert [each.order.id for each in orders(environment, limit=2)] == ["order3", "order2"]


@pytest.mark.parametrize("damage", ["", "[1]", '{"format": 9}', "\x00"])
def test_a_damaged_order_hides_no_other_one_and_is_named(environment, ordered, damage):
    for each in ("first", "second"):
        ordered(each)
    folder = environment.home.queue.orders
    (folder / "first" / "order.json").write_text(damage)
    (folder / "a file").write_text("no order")
    queue = read_queue(environment)
    assert [(each.order.id, each.place) for each in queue.orders] == [("second", 1)]
    assert queue.working is False
    unreadable = queue.unreadable
    assert [each.path for each in unreadable] == [str(folder / "a file"), str(folder / "first")]
    assert all(each.path in each.why and each.hint for each in unreadable)
    named = "2 orders cannot be read: "
    assert unreadable_line(unreadable, "order") == f"{named}{folder / 'a file'}, {folder / 'first'}."
    assert unreadable_line([unreadable[0]] * 5, "order").endswith(" and 2 more.")
    assert unreadable_line((), "order") == ""


def test_what_was_being_written_when_the_process_died_is_no_order(environment, ordered):
    ordered("one")
    (environment.home.queue.orders / ".other.k3j2").mkdir()
    assert [each.order.id for each in orders(environment)] == ["one"]


def test_the_queue_of_huey_is_json_and_never_unpickled(environment, ordered):
    ordered("one")
    huey, _ = open_tasks(environment.home.queue, print)
    (stored,) = huey.storage.enqueued_items()
    assert json.loads(bytes(stored))["args"] == ["one"]
    assert b"pickle" not in Path(sys.modules["pipelines.queue.tasks"].__file__).read_bytes().replace(b"unpickled", b"")
    huey.storage.enqueue(b"cos\nsystem\n(S'true'\ntR.")
    huey.dequeue()
    with pytest.raises(ValueError, match="Expecting value"):
        huey.dequeue()

"""Schedules on disk, and what they order when they fire."""

from datetime import UTC, datetime, timedelta

import pytest

from model.environment import Environment
from model.errors import Conflict, InvalidInput, NotFound
from model.home import Home
from model.schemas.schedule import Schedule
from pipelines.queue.orders import cancel, orders
from pipelines.queue.schedules import add_schedule, fire, pause_schedule, remove_schedule, schedules, stored_schedules
from pipelines.queue.timer import Timer

NOON = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "shop").mkdir()
    return Environment(home=Home.at(tmp_path / "home"))


@pytest.fixture
def weekly(environment, tmp_path):
    """A schedule of bob's on Mondays at three."""
    given = {"source": str(tmp_path / "shop"), "settings": {"train": {"epochs": 2}}, "why": "new stock", "user": "bob"}
    return add_schedule(environment, Schedule(id="weekly", crontab="0 3 * * mon", **given)).schedule


def test_a_schedule_says_when_it_orders_next_and_a_paused_one_does_not(environment, weekly):
    (state,) = schedules(environment).schedules
    following = state.next.astimezone()
    assert (state.schedule, state.last, following.weekday(), following.hour) == (weekly, None, 0, 3)
    assert datetime.now(UTC) < state.next <= datetime.now(UTC) + timedelta(days=8)
    assert pause_schedule(environment, "weekly").next is None
    assert pause_schedule(environment, "weekly", paused=False).next == state.next


def test_what_fires_twice_in_a_minute_is_ordered_once_in_the_name_of_who_added_it(environment, weekly):
    for seconds in (0, 20):
        fire(environment, weekly, NOON + timedelta(seconds=seconds))
    (state,) = orders(environment)
    order = state.order
    assert (order.id, order.user, order.why, order.schedule) == ("weekly-20261130T1200Z", "bob", "new stock", "weekly")
    assert order.settings == {"train": {"epochs": 2}}
    assert schedules(environment).schedules[0].last == state


def test_a_schedule_orders_nothing_while_its_last_run_is_queued_or_runs(environment, weekly, caplog):
    fire(environment, weekly, NOON)
    fire(environment, weekly, NOON + timedelta(minutes=1))
    assert len(orders(environment)) == 1
    assert "weekly-20261130T1200Z is queued" in caplog.text
    cancel(environment, "weekly-20261130T1200Z", "ann")
    fire(environment, weekly, NOON + timedelta(minutes=2))
    assert schedules(environment).schedules[0].last.order.id == "weekly-20261130T1202Z"


def test_an_order_whose_source_is_gone_is_shown_as_refused(environment, weekly, tmp_path):
    (tmp_path / "shop").rmdir()
    fire(environment, weekly, NOON)
    (state,) = orders(environment)
    assert (state.state, state.error.headline) == ("refused", f"There is no folder {tmp_path / 'shop'}.")


def test_a_schedule_whose_name_begins_like_another_ones_has_its_own_last_run(environment, weekly):
    longer = add_schedule(environment, weekly.model_copy(update={"id": "weekly-2"})).schedule
    fire(environment, longer, NOON)
    assert [state.last and state.last.order.id for state in schedules(environment).schedules] == [None, "weekly-2-20261130T1200Z"]


@pytest.mark.parametrize("crontab", ["", "0 3 * *", "99 3 * * *", "0 3 * * someday", "now"])
def test_a_crontab_that_cannot_be_read_is_refused_with_an_example(environment, weekly, crontab):
    with pytest.raises(InvalidInput, match="cannot be read") as error:
        add_schedule(environment, weekly.model_copy(update={"id": "other", "crontab": crontab}))
    assert "'0 3 * * mon'" in error.value.hint
    assert len(schedules(environment).schedules) == 1


def test_a_name_that_is_taken_or_none_is_refused(environment, weekly):
    with pytest.raises(Conflict, match="There is a schedule weekly"):
        add_schedule(environment, weekly)
    with pytest.raises(InvalidInput, match="id: "):
        Schedule.given(id="../x", crontab="* * * * *", source=".", user="ann")
    for act in (pause_schedule, remove_schedule):
        for name in ("none", "../weekly", ""):
            with pytest.raises(NotFound):
                act(environment, name)


def test_a_removed_schedule_is_gone_and_its_orders_stay(environment, weekly):
    fire(environment, weekly, NOON)
    assert remove_schedule(environment, "weekly").schedule == weekly
    assert (schedules(environment).schedules, len(orders(environment))) == ((), 1)


def test_a_damaged_schedule_hides_no_other_one_from_lists_or_the_timer(environment, weekly, caplog):
    (broken := environment.home.queue.schedules / "broken.json").write_text("{")
    found = schedules(environment)
    assert [state.schedule.id for state in found.schedules] == ["weekly"]
    assert [each.path for each in found.unreadable] == [str(broken)]
    assert stored_schedules(environment.home.queue) == [weekly]
    assert "broken.json is damaged" in caplog.text


def test_the_timer_follows_the_files(environment, weekly):
    def fired_ones():
        timer._look()
        return {job.id: str(job.trigger) for job in timer._scheduler.get_jobs() if job.id in {"weekly", "daily"}}

    with Timer(environment) as timer:
        assert fired_ones() == {"weekly": "cron[month='*', day='*', day_of_week='mon', hour='3', minute='0']"}
        add_schedule(environment, weekly.model_copy(update={"id": "daily", "crontab": "30 4 * * *"}))
        assert fired_ones()["daily"] == "cron[month='*', day='*', day_of_week='*', hour='4', minute='30']"
        pause_schedule(environment, "weekly")
        assert list(fired_ones()) == ["daily"]
        pause_schedule(environment, "weekly", paused=False)
        remove_schedule(environment, "daily")
        assert list(fired_ones()) == ["weekly"]

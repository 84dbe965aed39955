"""Recurring runs by Kubeflow's own clock."""

import pytest
from apscheduler.triggers.cron import CronTrigger

from model.errors import Conflict, InvalidInput, NotFound
from model.schemas.schedule import Schedule
from pipelines.kubeflow import recurring
from tests.support.kubeflow import kubeflow

pytestmark = pytest.mark.slow


@pytest.fixture
def server(monkeypatch):
    with kubeflow() as state:
        monkeypatch.setenv("GLOCAL_KUBEFLOW_HOST", state.host)
        yield state


def schedule(**changes):
    given = {
        "id": "weekly",
        "crontab": "0 3 * * mon",
        "source": "photos@0123abc",
        "user": "ada",
        "settings": {"train": {"epochs": 3}},
    }
    return Schedule(**{**given, **changes})


def test_a_recurring_run_is_the_pipeline_with_its_settings_one_at_a_time_and_none_made_up_for(server, monkeypatch):
    monkeypatch.setenv("GLOCAL_KUBEFLOW_SERVICE_ACCOUNT", "glocal-steps")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_PIPELINE_ROOT", "s3://bucket/runs")
    recurring.add(schedule())
    (made,) = server.recurring.values()
    assert made.trigger.cron_schedule.cron == "0 0 3 * * mon"
    assert (made.max_concurrency, made.no_catchup, made.mode) == ("1", True, "ENABLE")
    assert made.service_account == "glocal-steps"
    assert made.runtime_config.pipeline_root == "s3://bucket/runs"
    assert made.runtime_config.parameters["source"] == "photos@0123abc"
    assert made.runtime_config.parameters["train"]["epochs"] == 3
    assert made.pipeline_version_reference.pipeline_version_id in server.versions


def test_schedules_are_listed_by_name_beside_what_others_let_recur(server):
    for name in ("weekly", "daily"):
        recurring.add(schedule(id=name))
    next(iter(server.recurring.values())).description = "made by hand"
    assert [each.schedule.id for each in recurring.schedules().schedules] == ["daily"]


def test_more_schedules_than_a_page_are_all_listed(server, monkeypatch):
    monkeypatch.setattr(recurring, "_PAGE", 2)
    for number in range(5):
        recurring.add(schedule(id=f"s{number}"))
    assert [each.schedule.id for each in recurring.schedules().schedules] == [f"s{number}" for number in range(5)]


def test_a_schedule_rests_goes_on_and_is_removed(server):
    recurring.add(schedule())
    assert recurring.pause("weekly", paused=True).schedule.paused
    assert recurring.schedules().schedules[0].schedule.paused
    assert not recurring.pause("weekly", paused=False).schedule.paused
    assert recurring.remove("weekly").schedule.id == "weekly"
    assert server.recurring == {}
    with pytest.raises(NotFound, match="weekly"):
        recurring.remove("weekly")


def test_a_second_schedule_of_a_name_is_refused(server):
    recurring.add(schedule())
    with pytest.raises(Conflict, match="weekly"):
        recurring.add(schedule(crontab="0 4 * * *"))
    assert len(server.recurring) == 1


@pytest.mark.parametrize("changes", [{"crontab": "every monday"}, {"source": "/home/ada/photos"}])
def test_what_cannot_recur_there_is_refused_before_kubeflow_is_asked(server, changes):
    with pytest.raises(InvalidInput):
        recurring.add(schedule(**changes))
    assert server.requests == []


@pytest.mark.parametrize(
    ("crontab", "there"),
    [
        ("0 3 * * mon", "0 0 3 * * mon"),
        ("*/30 * * * *", "0 */30 * * * *"),
        ("15 6 1 jan,jul *", "0 15 6 1 jan,jul *"),
        ("0 3 * * 0,2-4", "0 0 3 * * mon,wed-fri"),  # for APScheduler 0 is Monday, for Kubeflow Sunday
        ("0 3 * * */2", "0 0 3 * * */2"),
    ],
)
def test_a_crontab_means_the_same_there(crontab, there):
    CronTrigger.from_crontab(crontab)  # it is one
    assert recurring.kubeflow_cron(crontab) == there

"""Two people who ask for a change at the same moment: one of them makes it, and the other is told who does."""

from types import SimpleNamespace

import pytest

from dashboard.security.people import Role
from model.environment import Environment
from model.errors import Conflict
from model.home import Home
from model.locks import hold
from pipelines.actions.action import API, ASYNC
from pipelines.jobs.job import latest_jobs
from pipelines.jobs.serving import SERVING, approve, promote, roll_back
from serving.history import history_faults, read_history
from serving.promotion import refuse
from serving.registry.models import Registry
from tests.support.dashboard import Browser, at_once, program, text
from tests.support.jobs import idle_jobs
from tests.support.lineage import NAME, pin_drawn, register_awaiting, register_run, release_on
from tests.support.versions import add_promotions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Versions 1 and 2, the champion after it; version 3 needs one approval."""
    root = tmp_path_factory.mktemp("two")
    home = Home.at(root / "home")
    pin = pin_drawn(home, root)
    for number in (1, 2):
        register_run(home, release_on(pin, root / str(number), seed=number), root / f"evidence-{number}", seed=number)
    registry = Registry(home.tracking_uri, NAME)
    registry.make_champion("1", None)
    registry.make_champion("2", "1")
    add_promotions(home, NAME, ["1", "2"])
    register_awaiting(home, pin, root, seed=3, approvers=1)
    return SimpleNamespace(home=home, environment=Environment(home=home))


@pytest.fixture
def people(known):
    return [Browser(known.environment, Role.OPERATOR, name) for name in ("ana", "bob")]


@pytest.fixture(autouse=True)
def begun(known, monkeypatch):
    """The processes of the jobs that were begun, which do nothing; the history holds after each test."""
    with idle_jobs(monkeypatch) as started:
        yield started
    assert history_faults(known.home, known.home.tracking_uri) == []


def sending(person, path, **typed):
    """The sending of a form that a person has open and filled in."""
    hidden = person.hidden(path)
    return lambda: person.post(path, {**hidden, "why": f"{path} seems right", **typed})


def assert_one_was_told(answers, said):
    """One of two answers leads to its job, the other says who does what, and what to do."""
    (refused,) = [answer for answer in answers if answer.status_code == 409]
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert any(each in text(refused) for each in said), text(refused)
    assert "One change is made at a time: look how it ends, then decide." in text(refused)


def test_of_two_approvals_at_once_one_is_made_and_the_other_person_is_told_whose(known, people, begun):
    path = f"/models/{NAME}/3/approve"
    answers = at_once(*(sending(each, path, confirm=f"{NAME} 3") for each in people))
    assert_one_was_told(answers, [f"{name} is approving version 3 of {NAME}" for name in ("ana", "bob")])
    assert len(begun) == 1
    assert latest_jobs(known.home, approve, most=1)[0].record.by in {"ana", "bob"}


def test_of_a_promotion_and_a_rollback_at_once_one_is_made(known, people, begun):
    ana, bob = people
    rolling = sending(bob, f"/models/{NAME}/rollback", confirm=f"{NAME} 1")
    answers = at_once(sending(ana, f"/models/{NAME}/1/promote", confirm=f"{NAME} 1"), rolling)
    assert_one_was_told(answers, ["ana is promoting version 1", "bob is rolling drawn back to version 1"])
    assert len(begun) == 1
    assert len([job for job in latest_jobs(known.home, promote, roll_back) if job.runs]) == 1


def test_who_refuses_while_another_approves_is_told_so_and_nothing_is_on_record(known, people, begun):
    ana, bob = people
    refusing = sending(bob, f"/models/{NAME}/3/refuse", confirm=f"{NAME} 3")
    assert sending(ana, f"/models/{NAME}/3/approve", confirm=f"{NAME} 3")().status_code == 303
    entries = read_history(known.home.tracking_uri, name=NAME)
    answer = refusing()
    assert (answer.status_code, f"ana is approving version 3 of {NAME}" in text(answer)) == (409, True)
    assert f"ana is approving version 3 of {NAME}" in text(bob.get(f"/models/{NAME}/3/refuse"))
    assert read_history(known.home.tracking_uri, name=NAME) == entries


def test_nobody_refuses_a_version_while_one_is_deployed_or_that_is_champion(known):
    shop = program(known.environment)
    entries = read_history(known.home.tracking_uri, name=NAME)
    with hold(known.home.serve.deploy_lock):  # as a promotion of the command line does
        answer = shop.post(f"{API}/models/{NAME}/versions/3/refuse", json={"why": "wrong labels"})
        assert (answer.status_code, answer.json()["title"]) == (409, "What serves is being changed at this moment.")
    with pytest.raises(Conflict, match="drawn version 2 is champion"):
        refuse("2", home=known.home, tracking_uri=known.home.tracking_uri, name=NAME, by="bob", why="x")
    assert read_history(known.home.tracking_uri, name=NAME) == entries


def test_of_many_programs_that_ask_at_once_one_job_is_begun_and_each_of_the_others_is_told(known, begun):
    programs = [program(known.environment, f"robot {number}") for number in range(6)]
    path = f"{API}/models/{NAME}/versions/1/promote"
    asking = [lambda each=each: each.post(path, json={"why": "x"}, headers={"Prefer": ASYNC}) for each in programs]
    answers = at_once(*asking)
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    told = {answer.json()["title"] for answer in answers if answer.status_code == 409}
    assert len(told) == len(begun) == 1  # all of them of the same one
    assert all(SERVING.rule == answer.json()["detail"] for answer in answers if answer.status_code == 409)


def test_of_two_forms_of_one_person_at_once_one_job_is_begun(known, people, begun):
    ana = people[0]
    form = sending(ana, f"/models/{NAME}/1/promote", confirm=f"{NAME} 1")
    answers = at_once(form, form)
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len({answer.headers["location"] for answer in answers}) == len(begun) == 1

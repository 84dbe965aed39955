"""Promotion, a second person, a trial and a rollback in a real browser, with a real registry and a real endpoint."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.security.people import Role
from dashboard.security.sessions import Sessions
from model.config import ServeConfig
from model.environment import Environment
from model.schemas.approval import ApprovalRule
from model.schemas.run_record import RunRecord
from pipelines.jobs.job import latest_jobs
from pipelines.jobs.serving import promote
from serving.history import history_faults, read_history
from serving.local import local_client
from serving.promotion import register_release
from tests.support.browser import launched
from tests.support.dashboard import at_once, followed, programs, serving_dashboard
from tests.support.promotions import answers, to, write_evidence
from tests.support.releases import draw_image, make_release
from tests.support.reports import MOMENT

pytestmark = pytest.mark.integration
NAME = "drawn"
ENDED_MS = 120_000


@pytest.fixture(scope="module")
def address(home):
    with serving_dashboard(Environment(home=home)) as address:
        yield address


@pytest.fixture
def page_of(home, address):
    """Opens a browser in which a person has signed in."""
    with launched() as browser:

        def opened(name):
            context = browser.new_context(base_url=address)
            cookie = Sessions(home.dashboard).begin(name, Role.OPERATOR)
            context.add_cookies([{"name": f"glocal_{address.rpartition(':')[2]}", "value": cookie, "url": address}])
            return context.new_page()

        yield opened


@pytest.fixture
def awaiting(home, first, tmp_path):
    """A version that serves once one operator has approved it; carl started its run."""

    def register(seed):
        release = make_release(tmp_path / str(seed), seed=seed)
        evidence = write_evidence(tmp_path / f"evidence-{seed}", release, approval=ApprovalRule(approvers=1))
        run = RunRecord(state="running", started=MOMENT, id="1", name="a run", user="carl")
        config = ServeConfig(name=NAME)
        return register_release(release.folder, *evidence, config, tracking_uri=home.tracking_uri, run=run).version

    return register


@pytest.fixture
def two(home, address):
    with programs(Environment(home=home), address, "ana", "bob") as both:
        yield both


def outcomes(home, version):
    """What the ledger has on a version, oldest first; the history holds."""
    assert history_faults(home, home.tracking_uri) == []
    return [entry.outcome for entry in read_history(home.tracking_uri, name=NAME) if entry.version == version]


def asking(client, path, **body):
    return lambda: client.post(f"/models/{NAME}/{path}", json={"why": "it is better", **body})


def end_of_the_one_that_was_begun(clients, answers):
    """Of two changes that were asked for at once the one that was begun, once it has ended; the other was refused."""
    assert sorted(answer.status_code for answer in answers) == [202, 409], [answer.text for answer in answers]
    (refused,) = [answer for answer in answers if answer.status_code == 409]
    begun = next(number for number, answer in enumerate(answers) if answer.status_code == 202)
    assert f"{('ana', 'bob')[begun]} is " in refused.json()["title"]
    return followed(clients[begun], answers[begun])


def test_two_who_approve_at_once_let_it_serve_once(home, two, awaiting):
    version = awaiting(21)
    job = end_of_the_one_that_was_begun(two, at_once(*(asking(each, f"versions/{version}/approve") for each in two)))
    assert (job["state"], answers(home, NAME)[0]) == ("succeeded", version), job
    assert outcomes(home, version) == ["approved", "promoted"]


def test_of_an_approval_and_a_refusal_at_once_one_holds_and_the_other_is_told(home, two, awaiting):
    version, (ana, bob) = awaiting(22), two
    approval, refusal = at_once(asking(ana, f"versions/{version}/approve"), asking(bob, f"versions/{version}/refuse"))
    if refusal.status_code == 409:
        assert followed(ana, approval)["state"] == "succeeded"
        assert (answers(home, NAME)[0], outcomes(home, version)) == (version, ["approved", "promoted"])
        return
    if approval.status_code == 202:
        job = followed(ana, approval)
        assert (job["state"], "refused by bob" in str(job["ended"])) == ("succeeded", True), job
    assert (refusal.status_code, answers(home, NAME)[0]) == (200, "1")
    assert "promoted" not in outcomes(home, version)
    assert outcomes(home, version).count("refused") == 1


def test_of_a_promotion_and_a_rollback_at_once_one_is_made(home, first, two):
    to(home, "2", NAME)
    before = len(outcomes(home, "1"))
    asked = asking(two[0], "versions/1/promote"), asking(two[1], "rollback", version="1")
    job = end_of_the_one_that_was_begun(two, at_once(*asked))
    assert (job["state"], answers(home, NAME)[0]) == ("succeeded", "1"), job
    assert outcomes(home, "1")[before:] == ["promoted"]


def ask(page, path, word, why="tried"):
    page.goto(path)
    page.fill("[name=why]", why)
    page.fill("[name=confirm]", word)
    page.click("form .actions button")


def end_of(page):
    """What the page of a change says once it has ended; nobody loads it again."""
    page.wait_for_selector("#job:not([data-every])", timeout=ENDED_MS)
    return page.inner_text("#job")


def test_a_version_is_promoted_while_a_second_person_watches(home, first, page_of):
    ana, bob = page_of("ana"), page_of("bob")
    ask(ana, f"/models/{NAME}/2/promote", f"{NAME} 2", "fewer mix-ups")
    bob.goto("/models")
    assert "ana is promoting version 2 of drawn" in bob.inner_text("#under-way")
    bob.goto(f"/models/{NAME}/1/promote")
    assert bob.locator("form input[name=why]").count() == 0
    assert "succeeded" in end_of(ana)
    assert answers(home, NAME)[0] == "2"
    last = read_history(home.tracking_uri, name=NAME)[-1]
    assert (last.by, last.why, last.outcome) == ("ana", "fewer mix-ups", "promoted")
    bob.goto("/models")
    assert "Version 2 serves." in bob.inner_text("main")
    ask(bob, f"/models/{NAME}/rollback", f"{NAME} 1", "misses the oats")
    assert "Version 1 of drawn serves again" in end_of(bob)
    assert answers(home, NAME)[0] == "1"


def test_a_version_that_does_not_verify_fails_with_its_reason_and_nothing_changes(home, first, page_of):
    ana = page_of("ana")
    ask(ana, f"/models/{NAME}/3/promote", f"{NAME} 3")
    said = end_of(ana)
    assert "failed" in said
    assert "golden" in said
    assert "What served before serves on." in said
    assert answers(home, NAME)[0] == "1"
    assert latest_jobs(home, promote)[0].state == "failed"


def test_a_shadow_is_started_watched_and_ended(home, first, page_of):
    ana = page_of("ana")
    ana.goto(f"/models/{NAME}/2/trial")
    ana.fill("[name=share]", "100")
    ana.fill("[name=latency]", "1000")
    ana.click("form .actions button")
    assert "Version 2 is tried as shadow." in end_of(ana)
    ana.goto(f"/models/{NAME}/trial")
    assert "Nothing was measured yet" in ana.inner_text("#trial")
    with local_client(home.serve) as client:
        for seed in range(5):
            client.search(draw_image(seed), 1, model=NAME)
    ana.wait_for_selector("#trial table", timeout=30_000)  # the page looks again by itself
    assert "search" in ana.inner_text("#trial table")
    ana.click("form button.danger")
    assert "no longer tried" in end_of(ana)


def test_dragging_over_the_timeline_shows_that_part_larger(home, first, page_of):
    ana = page_of("ana")
    ana.goto("/history")
    box = ana.locator("#timeline").bounding_box()
    ana.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
    ana.mouse.down()
    ana.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 30, steps=5)
    with ana.expect_navigation():
        ana.mouse.up()
    start, stop = (
        datetime.fromisoformat(ana.get_attribute("#timeline", name)).astimezone(UTC) for name in ("data-from", "data-to")
    )
    assert "from=" in ana.url
    assert timedelta(seconds=10) <= stop - start

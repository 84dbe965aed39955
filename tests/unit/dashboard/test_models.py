"""The pages of models over a real registry and a real data repository: what they show, and what a form asks for."""

import re
from types import SimpleNamespace

import pytest

from dashboard.security.people import Role
from model.environment import Environment
from model.home import Home
from model.schemas.approval import ApprovalRule
from pipelines.jobs.job import latest_jobs
from pipelines.jobs.serving import promote
from serving.history import read_history
from serving.registry.models import Registry
from tests.support.dashboard import ADDRESS, Browser, text
from tests.support.jobs import idle_jobs, kill
from tests.support.lineage import NAME, pin_drawn, register_awaiting, register_run, release_on
from tests.support.versions import add_promotions, add_versions, counted_statements, read_versions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Versions 1, champion, and 2 of one version of the data; version 3 needs two approvals, and carl started its run."""
    root = tmp_path_factory.mktemp("models")
    home = Home.at(root / "home")
    pin = pin_drawn(home, root)
    for number in (1, 2):
        register_run(
            home, release_on(pin, root / str(number), seed=number), root / f"evidence-{number}", "train.epochs=3", seed=number
        )
    registry = Registry(home.tracking_uri, NAME)
    registry.make_champion("1", None)
    add_promotions(home, NAME, ["1"])
    register_awaiting(home, pin, root, seed=3, approvers=2)
    return SimpleNamespace(home=home, environment=Environment(home=home), pin=pin, registry=registry)


@pytest.fixture
def ana(known):
    return Browser(known.environment, Role.OPERATOR, "ana")


@pytest.fixture
def begun(monkeypatch):
    """The processes of the changes that were begun, which do nothing."""
    with idle_jobs(monkeypatch) as started:
        yield started


def test_the_first_page_names_what_serves_what_is_champion_and_what_waits(ana):
    shown = text(ana.get("/models"))
    assert "drawn version 3" in shown
    assert "awaiting approval 2 more operators must approve it" in shown
    assert "does not serve" in shown
    assert "The endpoint does not run: nobody is answered. glocal serve start" in shown


def test_a_home_without_models_says_how_one_comes(tmp_path):
    shown = Browser(Environment(home=Home.at(tmp_path / "home")), Role.VIEWER)
    assert "No model yet" in shown.get("/models").text
    assert "Nothing was promoted here yet" in shown.get("/history").text
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_versions_stand_newest_first_with_intervals_and_differences(ana):
    page = ana.get("/models/drawn")
    assert re.findall(r'/models/drawn/(\d)">\d</a>', page.text) == ["3", "2", "1"]
    shown = text(page)
    assert "0.500\u20130.900" in shown
    assert "champion" in shown
    assert "carl" in shown


def test_a_version_says_what_the_gate_decided_and_where_it_comes_from(ana):
    shown = text(ana.get("/models/drawn/2"))
    assert "passed" in shown
    assert "The release takes 1.0 MB: held." in shown
    assert "train.epochs 12 3" in shown
    assert "drawn multi_head" in shown
    assert f"/data/{NAME}" in ana.get("/models/drawn/2").text
    assert ana.get("/models/drawn/champion").status_code == 200


def test_a_model_card_is_shown_as_text_whatever_tags_are_in_it(ana, known):
    known.registry.replace_card(
        "2", "# Card\n\n<script>alert(1)</script> [x](javascript:alert) ![i](http://x/y)\n\n| a |\n|---|\n| b |"
    )
    page = ana.get("/models/drawn/2").text
    assert "<h3>Card</h3>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "javascript:alert" not in re.findall(r'href="([^"]*)"', page)
    assert "<img" not in page.partition('class="card-text"')[2]
    assert "<td>b</td>" in page


def test_the_report_is_a_page_without_rights(ana):
    answer = ana.get("/models/drawn/3/report")
    assert answer.status_code == 404  # this version was registered without the page
    assert "cannot be read" in answer.text


def test_what_is_not_there_is_said(ana):
    for path in (
        "/models/none",
        "/models/drawn/99",
        "/models/drawn/99/promote",
        "/models/drawn/diff?from=99",
        "/models/drawn/rollback",
    ):
        answer = ana.get(path)
        assert answer.status_code == 404, path
        assert "<h1>" in answer.text


def test_two_versions_are_compared_and_queries_are_shown_when_asked_for(ana):
    shown = text(ana.get("/models/drawn/diff?from=1&to=2"))
    assert "none: the same data" in shown
    assert "Show them as images" in shown
    images = ana.get("/models/drawn/diff?from=2&to=1&queries=true").text
    assert "data:image/" in images


def test_only_operators_change_what_serves(known):
    viewer = Browser(known.environment, Role.VIEWER, "vic")
    for path in ("/models/drawn/2/promote", "/models/drawn/3/approve", "/models/drawn/rollback", "/models/drawn/2/trial"):
        assert viewer.get(path).status_code == 403
        assert viewer.post(path, {"why": "x"}).status_code == 403


def test_a_form_that_is_wrong_is_shown_again_with_what_was_typed(ana, begun):
    answer = ana.fill("/models/drawn/2/promote", why="", confirm="drawn 3")
    assert answer.status_code == 422
    assert "A change needs a reason." in answer.text
    assert "Type drawn 2 to confirm." in answer.text
    assert 'value="drawn 3"' in answer.text
    assert begun == []


def test_a_change_is_begun_once_however_often_its_form_is_sent(ana, begun, known):
    hidden = ana.hidden("/models/drawn/2/promote")
    sent = [ana.post("/models/drawn/2/promote", {**hidden, "why": "better", "confirm": "drawn 2"}) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [303, 303]
    assert sent[0].headers["location"] == sent[1].headers["location"]
    assert len(begun) == 1
    asked = latest_jobs(known.home, promote)[0].record
    assert (asked.by, asked.why, asked.arguments["version"], asked.arguments["instead_of"]) == ("ana", "better", "2", "1")


def test_a_change_whose_process_is_gone_is_not_said_to_run(ana, begun, known):
    location = ana.fill("/models/drawn/2/promote", why="better", confirm="drawn 2").headers["location"]
    kill(begun[0])
    shown = text(ana.get(location))
    assert "killed" in shown
    assert "glocal serve status" in shown
    assert "data-every" not in ana.get(location).text


def test_a_second_person_is_told_of_the_change_that_is_under_way(ana, known, begun):
    location = ana.fill("/models/drawn/2/promote", why="better", confirm="drawn 2").headers["location"]
    assert "under way" in text(ana.get("/models"))
    assert 'data-every="1"' in ana.get(location).text
    assert "better" in text(ana.get(location))
    bob = Browser(known.environment, Role.OPERATOR, "bob")
    assert "ana is promoting version 2 of drawn" in bob.get("/models/drawn/2/promote").text
    refused = bob.post("/models/drawn/2/promote", {"why": "x", "confirm": "drawn 2", "before": "1", "key": "a" * 16})
    assert refused.status_code == 409
    assert "One change is made at a time" in refused.text
    assert bob.post(f"{location}/end").status_code == 409  # it is not left half done
    kill(begun[0])
    assert "killed" in text(ana.get(location))


def test_what_a_form_was_made_for_must_still_be_so(ana, begun):
    answer = ana.post("/models/drawn/2/promote", {"why": "x", "confirm": "drawn 2", "before": "2", "key": "b" * 16})
    assert answer.status_code == 409
    assert "Another version became champion meanwhile." in answer.text
    assert begun == []


def test_who_started_the_run_may_not_approve_and_others_may(known, begun):
    carl, ana = (Browser(known.environment, Role.OPERATOR, name) for name in ("carl", "ana"))
    assert "carl started the run" in carl.get("/models/drawn/3/approve").text
    refused = carl.post("/models/drawn/3/approve", {"why": "x", "confirm": "drawn 3", "before": "1", "key": "c" * 16})
    assert refused.status_code == 403
    assert begun == []
    assert "Your approval does not make it serve yet." in ana.get("/models/drawn/3/approve").text
    assert ana.fill("/models/drawn/3/approve", why="seen", confirm="drawn 3").status_code == 303
    assert len(begun) == 1


def test_a_version_that_needs_approval_is_not_promoted_without(ana, begun):
    assert "needs the approval of 2" in ana.get("/models/drawn/3/promote").text
    assert (
        ana.post("/models/drawn/3/promote", {"why": "x", "confirm": "drawn 3", "before": "1", "key": "d" * 16}).status_code == 409
    )
    assert begun == []


def test_a_refusal_is_on_record_at_once_under_the_persons_name(known):
    bob = Browser(known.environment, Role.OPERATOR, "bob")
    answer = bob.fill("/models/drawn/3/refuse", why="wrong labels", confirm="drawn 3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models/drawn/3")
    assert "refused by bob" in text(bob.get("/models/drawn/3"))
    last = read_history(known.home.tracking_uri, name=NAME)[-1]
    assert (last.by, last.outcome, last.why) == ("bob", "refused", "wrong labels")


def test_terms_of_a_trial_are_numbers_within_limits(ana, begun):
    answer = ana.post(
        "/models/drawn/2/trial",
        {"mode": "shadow", "share": "x", "errors": "5", "latency": "0.5", "workers": "1.5", "key": "e" * 16},
    )
    assert answer.status_code == 422
    assert begun == []
    served = ana.post(
        "/models/drawn/2/trial", {"mode": "shadow", "share": "10", "errors": "5", "latency": "2", "workers": "1", "key": "e" * 16}
    )
    assert served.status_code == 409
    assert "No version of drawn serves" in served.text


def test_an_image_is_looked_for_by_its_bytes(ana, known):
    from model.data.versions.fetch import fetch

    image = next((fetch(known.pin, known.home.data, known.home.datasets)).rglob("*.png"))
    headers = {"Origin": ADDRESS, "Accept": "text/html"}
    answer = ana.client.post(
        "/models/lineage", data={"csrf": ana.csrf}, files={"file": ("x.png", image.read_bytes())}, headers=headers
    )
    assert answer.status_code == 303
    assert "3 uses of" in text(ana.get(answer.headers["location"]))
    assert "3 uses of drawn" in text(ana.get("/models/lineage?data=drawn"))
    assert ana.get("/models/lineage?image=zz").status_code == 422


def test_pages_ask_the_store_as_often_for_many_versions_as_for_few(tmp_path):
    home = Home.at(tmp_path / "home")
    add_versions(home, "many", 3, approval=ApprovalRule(approvers=1))
    add_promotions(home, "many", ["1", "2"])
    browser = Browser(Environment(home=home), Role.VIEWER)
    paths = ("/models", "/models/many", "/models/many/3", "/models/many/diff?from=1&to=2", "/history")

    def counts():
        found = []
        for path in paths:
            with counted_statements() as statements:
                assert browser.get(path).status_code == 200
            found.append(len(statements))
        return found

    counts()  # the first one opens the store
    few = counts()
    add_versions(home, "many", 40, approval=ApprovalRule(approvers=1))
    add_versions(home, "others", 5)
    add_promotions(home, "many", ["4", "5", "6"])
    assert counts() == few
    assert "page 1 of 2" in text(browser.get("/models/many"))
    assert re.search(r'/models/many/18">18</a>', browser.get("/models/many?at=2").text)


def test_a_page_on_one_version_does_not_read_all_others(tmp_path):
    home = Home.at(tmp_path / "home")
    add_versions(home, "many", 60)
    add_promotions(home, "many", ["59", "60"])
    ana = Browser(Environment(home=home), Role.OPERATOR, "ana")
    for page in ("9", "9/promote", "9/trial", "trial", "diff", "diff?from=9&to=champion"):
        with read_versions() as read:
            assert ana.get(f"/models/many/{page}").status_code == 200
        assert len(read) < 40, page
    compared = ana.get("/models/many/diff").text
    assert '<option value="60">champion</option>' in compared
    assert '<option value="35">' not in compared
    assert "Version 9 and version 60" in text(ana.get("/models/many/diff?from=9&to=champion"))
    for number in ("61", "9" * 30, "x", "previous"):
        assert f"There is no version {number} of many." in text(ana.get(f"/models/many/{number}"))

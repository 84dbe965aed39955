"""Actions that take long, through the API: a job does them; who asks waits for its end, or gets its address and follows it."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from model.errors import InvalidInput, NotFound, Unavailable
from model.files import write_json
from model.schemas.sent_file import SentFile
from pipelines.actions.action import API, ASYNC, ask
from pipelines.actions.data import diff_data, find_look_alikes, import_data, list_findings
from pipelines.actions.galleries import enrol_images
from pipelines.actions.jobs import end_job, list_jobs, show_job
from pipelines.actions.models import promote_version
from pipelines.jobs.data import compare_data
from pipelines.jobs.data import import_data as importing
from pipelines.jobs.job import begin_job, latest_jobs, under_way
from pipelines.jobs.serving import SERVING, challenge, promote
from serving.processes import wait_until
from tests.support.browsing import make_home
from tests.support.dashboard import ask_elsewhere, program, serving_dashboard
from tests.support.jobs import await_job, idle_jobs, kill
from tests.support.lineage import NAME
from tests.support.sources import draw, make_source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with two revisions of a data set, and version 1 of a model, which is champion."""
    return make_home(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def environment(made):
    return made[0]


@pytest.fixture(scope="module")
def address(environment):
    with serving_dashboard(environment) as address:
        yield address


@pytest.fixture
def elsewhere(environment, address, monkeypatch, tmp_path):
    """This process asks the dashboard with an operator's key."""
    ask_elsewhere(monkeypatch, environment, address, tmp_path / "nothing here")


@pytest.fixture
def shop(environment):
    return program(environment, "a program")


PROMOTE = f"{API}/models/{NAME}/versions/1/promote"


def test_who_does_not_wait_gets_the_job_and_its_address(environment, shop, monkeypatch):
    with idle_jobs(monkeypatch) as started:
        answer = shop.post(PROMOTE, json={"why": "better"}, headers={"Prefer": ASYNC})
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, ASYNC)
        (job,) = latest_jobs(environment.home, promote)
        assert answer.headers["Location"] == f"{API}/jobs/{job.id}"
        assert (answer.json()["doing"], answer.json()["by"], answer.json()["why"]) == (job.doing, "a program", "better")
        assert shop.get(answer.headers["Location"]).json()["state"] == "running"
        refused = shop.post(PROMOTE, json={"why": "better"}, headers={"Prefer": ASYNC})
        assert (refused.status_code, "a program is promoting version 1" in refused.json()["title"]) == (409, True)
        kill(started[0])
        killed = shop.get(answer.headers["Location"]).json()
        assert (killed["state"], "glocal serve status" in killed["note"]) == ("killed", True)


def test_a_canary_is_started_by_a_job_watched_and_ended(environment, shop, monkeypatch):
    path, terms = f"{API}/models/{NAME}/challenge", {"mode": "canary", "share": 0.5, "max_error_rate": 0.1}
    with idle_jobs(monkeypatch) as started:
        answer = shop.post(f"{API}/models/{NAME}/versions/1/challenge", json=terms, headers={"Prefer": ASYNC})
        assert (answer.status_code, answer.json()["doing"]) == (202, f"starting version 1 of {NAME} as canary")
        assert latest_jobs(environment.home, challenge)[0].record.arguments.items() >= terms.items()
        assert shop.get(path).json() == {"challenger": None, "measured": {}}
        kill(started[0])
        assert shop.delete(path).json()["title"] == f"No version of {NAME} is tried."
        tried = {"version": "1", "archive": "a.mar", "sha256": "0", "workers": 1, "release": "r", "embedding_space_id": "e"}
        terms["started"] = "2026-11-30T12:00:00Z"
        write_json(environment.home.serve.challengers, {NAME: {**tried, "challenge": terms}})
        ended = shop.delete(path, headers={"Prefer": ASYNC})
        environment.home.serve.challengers.unlink()
    assert (ended.status_code, ended.json()["doing"]) == (202, f"ending the trial of {NAME}")


def test_what_is_sent_twice_with_one_key_is_one_job(shop, monkeypatch):
    headers = {"Prefer": ASYNC, "Idempotency-Key": "release of Monday"}
    with idle_jobs(monkeypatch) as started:
        sent = [shop.post(PROMOTE, json={"why": "better"}, headers=headers) for _ in range(2)]
        assert len({answer.headers["Location"] for answer in sent}) == len(started) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/models/{NAME}/versions/9/promote", {"why": "x"}, 404),
        (f"/models/{NAME}/versions/1/promote", {"why": " "}, 422),
        (f"/models/{NAME}/versions/9/challenge", {"mode": "shadow"}, 404),
        (f"/models/{NAME}/versions/1/challenge", {"mode": "canary", "share": 7}, 422),
        (f"/data/{NAME}@ffff/diff", {"after": NAME}, 404),
        (f"/data/{NAME}/look-alikes", {"model": NAME, "version": "9"}, 404),
        ("/data", {"source": "photos"}, 422),
        ("/data", {"source": "/nothing/there"}, 404),
        ("/data", {"source": "/tmp", "settings": ["train.epochs=3"]}, 422),
        (f"/models/{NAME}/gallery", {"label": "mug", "images": []}, 503),
        (f"/data/{NAME}/corrections", {"corrections": ["x"]}, 404),
        (f"/data/{NAME}/corrections", {"corrections": []}, 422),
    ],
)
def test_what_is_sure_to_go_wrong_is_refused_before_a_process_is_begun(environment, shop, monkeypatch, path, body, status):
    with idle_jobs(monkeypatch) as started:
        answer = shop.post(f"{API}{path}", json=body, headers={"Prefer": ASYNC})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        assert started == []


def test_who_waits_gets_what_the_action_answers(made, shop):
    before = f"{NAME}@{made[1].rev[:12]}"
    answer = shop.post(f"{API}/data/{before}/diff", json={"after": NAME})
    assert (answer.status_code, len(answer.json()["relabelled"])) == (200, 1)


def test_an_action_elsewhere_is_followed_to_its_end_and_gives_the_same_as_here(made, elsewhere, monkeypatch):
    before, told = f"{NAME}@{made[1].rev[:12]}", []
    there = ask(diff_data, before=before, after=NAME, tell=told.append)
    monkeypatch.delenv("GLOCAL_SERVER")
    monkeypatch.setenv("GLOCAL_HOME", str(made[0].home.root))
    assert ask(diff_data, before=before, after=NAME) == there
    assert {event.step for event in told} <= {"compare"}


def test_look_alikes_are_looked_for_elsewhere(made, elsewhere):
    found = ask(find_look_alikes, data=f"{NAME}@{made[1].rev[:12]}", model=NAME, version="1")
    assert found.labels[0].label == "dog"


def test_data_are_imported_elsewhere_and_their_defects_are_named_here(environment, elsewhere, tmp_path):
    source = make_source(tmp_path / "photos", shots=3)
    report = ask(import_data, source=str(source), name="elsewhere")
    assert (report.pin.path, report.unchanged) == ("elsewhere", False)
    assert report.messages
    assert ask(list_findings, reference="elsewhere") == list(report.warnings)
    (source / "ant" / "broken.png").write_bytes(draw(tmp_path / "x.png", 1).read_bytes()[:60])
    with pytest.raises(InvalidInput, match="Nothing was imported") as refused:
        ask(import_data, source=str(source), name="elsewhere")
    assert "broken.png" in refused.value.hint
    assert "broken.png" in ask(list_findings, reference="elsewhere", last=True)[0].name
    assert latest_jobs(environment.home, importing)[0].record.by == "ana"


def test_an_object_is_not_enrolled_where_nothing_serves(elsewhere):
    picture = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(picture, "PNG")
    with pytest.raises(Unavailable, match="served"):
        ask(enrol_images, model=NAME, label="mug", images=(SentFile.of("a.png", picture.getvalue()),))


def test_who_follows_a_job_is_told_that_it_goes_on_when_the_dashboard_does_not(environment, elsewhere, monkeypatch):
    with idle_jobs(monkeypatch), ThreadPoolExecutor() as pool:
        with serving_dashboard(environment) as address:
            monkeypatch.setenv("GLOCAL_SERVER", address)
            asked = pool.submit(ask, promote_version, model=NAME, version="1", why="better")
            assert wait_until(lambda: under_way(environment.home, SERVING), deadline_s=30)
        job = under_way(environment.home, SERVING)
        with pytest.raises(Unavailable, match="does not answer any more") as error:
            asked.result(30)
        assert f"glocal jobs show {job.id} --wait" in error.value.hint


def test_jobs_are_listed_looked_at_and_ended_elsewhere(environment, made, elsewhere, monkeypatch):
    with idle_jobs(monkeypatch):
        job = begin_job(environment.home, compare_data.asked(before=NAME, after=f"{NAME}@{made[2].rev[:12]}"), by="bob")
        assert ask(list_jobs, limit=1).jobs[0].id == job.id
        found = ask(show_job, job_id=job.id, wait_s=0.1)
        assert (found.state, found.by, found.result) == ("running", "bob", None)
        assert ask(end_job, job_id=job.id).state == "killed"
    with pytest.raises(NotFound):
        ask(show_job, job_id="none")


def test_the_result_of_a_job_is_told_once_it_has_ended(environment, made, shop):
    asked = compare_data.asked(before=f"{NAME}@{made[1].rev[:12]}", after=NAME)
    job = await_job(environment.home, begin_job(environment.home, asked, by="bob"))
    shown = shop.get(f"{API}/jobs/{job.id}").json()
    assert (shown["state"], len(shown["result"]["relabelled"])) == ("succeeded", 1)
    assert all(each["result"] is None for each in shop.get(f"{API}/jobs").json()["jobs"])

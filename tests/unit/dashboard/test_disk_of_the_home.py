"""A full or read-only disk under a running dashboard: pages show what they can, the rest says why, and nothing is half done."""

import logging
import tempfile
from types import SimpleNamespace

import pytest

from dashboard.monitoring.checks import look_at_disk
from dashboard.views.trying.served import choose_served
from dashboard.views.trying.tokens import Tokens
from model.claim import claim
from model.environment import Environment
from model.errors import StorageFailed
from model.home import Home
from pipelines.actions.action import API, ASYNC
from serving.corrections import corrections
from serving.history import read_history, refuse_changed_history
from serving.operations.search import SearchAnswer
from serving.registry.models import Registry
from serving.registry.runs import Runs
from tests.support.commands import end
from tests.support.dashboard import Browser, program, text
from tests.support.disks import small_disk
from tests.support.jobs import idle_jobs
from tests.support.lineage import NAME, pin_drawn, register_awaiting, register_run, release_on
from tests.support.releases import draw_image, make_full_release
from tests.support.served import served_home
from tests.support.sources import make_source
from tests.support.versions import add_promotions

pytestmark = pytest.mark.slow

FULL = ("There is no room left on the disk of", "Make room there, or set GLOCAL_HOME to a folder on another disk")
READ_ONLY = ("lies on a read-only disk", "Make it writable, or set GLOCAL_HOME to a folder on another disk")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """On a disk of its own: version 1, champion; 2, which two must approve, of a run of carl; 3, on record as served."""
    root = tmp_path_factory.mktemp("disk")
    with small_disk(root / "disk") as disk:
        served = make_full_release(root / "served")
        Runs(claim(Home.at(disk.root / "home")).tracking_uri)  # before anything refers to records
        home = served_home(disk.root, served)
        pin = pin_drawn(home, root)
        register_run(home, release_on(pin, root / "1"), root / "evidence-1")
        Registry(home.tracking_uri, NAME).make_champion("1", None)
        add_promotions(home, NAME, ["1"])
        run = register_awaiting(home, pin, root, seed=2, approvers=2)
        environment = Environment(home=home)
        browser = Browser(environment)
        yield SimpleNamespace(
            disk=disk,
            home=home,
            environment=environment,
            browser=browser,
            shop=program(environment),
            run=run.id,
            served=served,
            photos=make_source(root / "photos", shots=3),
        )
        browser.app.state.monitor.close()
        end(home.root)  # the queue's worker, which the orders started


@pytest.fixture
def browser(known, caplog, monkeypatch):
    """A browser whose jobs and worker do nothing; no fault is noted by the dashboard."""
    monkeypatch.setattr("dashboard.views.runs.starting.ensure_worker", lambda environment: None)
    monkeypatch.setattr("pipelines.queue.worker.ensure_worker", lambda environment: None)
    caplog.set_level(logging.WARNING)
    with idle_jobs(monkeypatch):
        yield known.browser
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def pages(known):
    runs = ("/runs", "/runs/new", f"/runs/{known.run}", "/runs/schedules")
    model = f"/models/{NAME}"
    models = (
        "/models",
        model,
        f"{model}/1",
        f"{model}/2/approve",
        f"{model}/2/trial",
        f"{model}/trial",
        f"{model}/diff?from=1&to=2",
    )
    data = ("/data", f"/data/{NAME}", f"/data/{NAME}/samples", f"/data/{NAME}/findings", f"/data/{NAME}/look-alikes")
    others = ("/history", "/try", "/try/enrol", "/try/corrections", "/health", "/api")
    api = ("runs", "models", "history", "data", "orders", "schedules", "endpoint", "jobs", "corrections")
    return (*runs, *models, *data, *others, *(f"{API}/{each}" for each in api))


def actions(known):
    """What people ask for, each as a name and a function that asks for it; all of it needs the disk."""
    browser, shop, number = known.browser, known.shop, iter(range(100))
    image = [("images", ("a.png", draw_image(1), "image/png"))]

    def key():
        return f"{next(number):016x}"

    def change(asked, version, word):
        return browser.post(f"/models/{NAME}/{version}/{asked}", {"why": "x", "confirm": word, "before": "1", "key": key()})

    def token():
        answer = SearchAnswer(
            release=known.served.id, embedding_space_id=known.served.embedding_space_id, model_version="3", neighbours=()
        )
        signer = Tokens(browser.app.state.sessions.key)
        return signer.sign(answer, "search", choose_served(known.home, NAME), draw_image(1))

    source = {"source": str(known.photos)}
    run = {**source, "name": "photos", "key": "first"}
    nightly = {"schedule": f"nightly-{key()}", "crontab": "0 3 * * *"}
    background = {"Prefer": ASYNC}
    return {
        "start a run": lambda: browser.post("/runs/new", {**run, "do": "start"}),
        "add a schedule": lambda: browser.post("/runs/new", {**run, **nightly, "do": "schedule"}),
        "import": lambda: browser.post("/data/import", {**source, "key": key()}),
        "enrol": lambda: browser.post("/try/enrol", {"model": NAME, "label": "mug", "key": key()}, files=image),
        "correct": lambda: browser.post("/try/corrections", {"token": token(), "label": "class 2"}, files=image),
        "refuse": lambda: change("refuse", 2, f"{NAME} 2"),
        "approve": lambda: change("approve", 2, f"{NAME} 2"),
        "order by the API": lambda: shop.post(f"{API}/orders", json=source),
        "schedule by the API": lambda: shop.post(f"{API}/schedules", json={**source, "name": key(), "crontab": "0 3 * * *"}),
        "refuse by the API": lambda: shop.post(f"{API}/models/{NAME}/versions/2/refuse", json={"why": "x"}),
        "import by the API": lambda: shop.post(f"{API}/data", json={**source, "name": "more"}, headers=background),
    }


def stored(home):
    """The files of the home with their times, but logs, locks and what the monitor keeps."""
    files = [file for file in home.root.rglob("*") if file.is_file() and not file.name.endswith((".lock", ".log", "seen.json"))]
    return {str(file.relative_to(home.root)): file.stat().st_mtime_ns for file in files}


@pytest.mark.parametrize("state", ["full", "read_only"])
def test_every_page_is_shown_and_what_cannot_be_done_says_why_and_what_to_do(known, browser, state):
    shown = {path: browser.get(path).status_code for path in pages(known)}
    assert set(shown.values()) == {200}
    before, words, asked = stored(known.home), FULL if state == "full" else READ_ONLY, actions(known)
    entries = read_history(known.home.tracking_uri, name=NAME)
    with getattr(known.disk, state)():
        for path in pages(known):
            assert browser.get(path).status_code == 200, path
        for name, ask in asked.items():
            answer = ask()
            said = text(answer)
            assert answer.status_code in {507, 422}, (name, answer.status_code, said[:300])
            assert all(each in said for each in words), (name, said)
            assert "Errno" not in said, name
        with pytest.raises(StorageFailed, match=words[0]):
            look_at_disk(known.environment)
    assert stored(known.home) == before
    assert read_history(known.home.tracking_uri, name=NAME) == entries
    refuse_changed_history(known.home, known.home.tracking_uri)


def test_what_could_not_be_done_is_done_once_there_is_room_again(known, browser, monkeypatch):
    asked = actions(known)
    with known.disk.full():
        for ask in asked.values():
            ask()
    for name in ("start a run", "add a schedule", "correct", "refuse", "schedule by the API", "order by the API"):
        answer = asked[name]()
        assert answer.status_code in {200, 303}, (name, text(answer)[:300])
    for name in ("import", "approve", "enrol", "import by the API"):
        with idle_jobs(monkeypatch):  # one after the other
            answer = asked[name]()
        assert answer.status_code in {202, 303}, (name, text(answer)[:300])
    assert len(corrections(known.home)) == 1
    assert [entry.outcome for entry in read_history(known.home.tracking_uri, name=NAME)].count("refused") == 1
    refuse_changed_history(known.home, known.home.tracking_uri)
    assert look_at_disk(known.environment).state == "up"


def test_an_upload_that_finds_no_room_in_the_temporary_folder_says_so(known, browser, monkeypatch):
    large = bytes(3 * 2**20)
    with known.disk.full():
        monkeypatch.setattr(tempfile, "tempdir", str(known.disk.root))
        for path, field in (("/try", "images"), ("/models/lineage", "file"), (f"/data/{NAME}/alike", "image")):
            answer = browser.post(path, {"model": NAME}, files=[(field, ("a.png", large, "image/png"))])
            assert answer.status_code == 507, (path, text(answer)[:300])
            assert FULL[0] in text(answer)

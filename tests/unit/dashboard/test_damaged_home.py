"""Files of a home that are damaged: no page fails at them, and none shows what they cannot tell."""

import json
import shutil
import time
from datetime import UTC, datetime

import pytest

from components.runtime.events import emit
from dashboard.rendering import NONE, moment
from model.claim import claim
from model.environment import Environment
from model.files import write_json
from model.home import Home
from model.schemas.order import Order
from model.schemas.run_event import RunEvent
from model.schemas.run_record import Failure
from pipelines import cli
from pipelines.jobs.job import Ended, JobRecord
from pipelines.queue.stored import Begun, StoredOrder
from serving.registry.runs import Runs
from tests.support.dashboard import Browser, text

HOSTILE = (1e308, "\x00<script>\u202e", [[1]])
WHOLE = ("", "[]", "{}", "[" * 100_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run that ended, its order, and a job that ended."""
    home = claim(Home.at(tmp_path_factory.mktemp("damaged") / "home"))
    runs, folder = Runs(home.tracking_uri), home.runs / "a-run"
    folder.mkdir(parents=True)
    run_id = runs.start_run("a run", {"name": "shop"}, {"folder": folder, "glocal.kind": "training"})
    runs.close(run_id, succeeded=False, headline="no room")
    write_json(folder / "run.json", {"run_id": run_id})
    error = Failure(step="train", headline="no room", hint="make some").model_dump()
    report = {"verdict": "good", "untrained": {"map_at_r": 0.1}, "map_at_r_interval": [0.1, 0.2]}
    write_json(folder / "result.json", {"status": "failed", "error": error, "report": report})
    emit(folder, RunEvent(step="train", event="started", at=time.time()))
    stored = StoredOrder(home.queue.orders / "one")
    stored.create(Order(id="one", source="/shop", user="ana"))
    stored.begin(Begun(at=datetime.now(UTC), worker="gone", folder=str(folder), pid=1))
    write_json(home.queue.worker, {"id": "x", "pid": 1, "started": 1.0})
    write_json(home.dashboard.seen, {"mlflow": 1.0})
    record = JobRecord(
        kind="diff", arguments={"before": "a@1", "after": "b@2"}, doing="comparing a@1 with b@2", by="ana", at=datetime.now(UTC)
    )
    job = home.dashboard.jobs / "20260101T000000000-diff-0123456789abcdef"
    job.mkdir(parents=True)
    record.save(job / "job.json")
    write_json(job / "process.json", {"pid": 1})
    write_json(job / "progress.json", {"format": 1, "steps": [], "warnings": []})
    Ended(at=datetime.now(UTC), state="failed", headline="no room").save(job / "ended.json")
    return home


RUN = ("/runs", "/runs/RUN", "/runs/orders/one")
ORDER = ("/api/v1/orders", "/runs/orders/one")
JOB = ("/jobs/20260101T000000000-diff-0123456789abcdef",)
PAGES = {
    "runs/a-run/result.json": RUN,
    "runs/a-run/run.json": RUN,
    "runs/a-run/events.jsonl": ("/runs/RUN", "/api/v1/orders/one"),
    "queue/orders/one/order.json": ORDER,
    "queue/orders/one/begun.json": ORDER,
    "queue/worker.json": ("/api/v1/orders",),
    "dashboard/seen.json": ("/health",),
    **dict.fromkeys((f"dashboard{JOB[0]}/{name}.json" for name in ("job", "process", "progress", "ended")), JOB),
}


def damages(content):
    """The text of a JSON file, or of a file with a mapping in each line, damaged in many ways."""
    yield from WHOLE
    yield content[: len(content) // 2]
    value = json.loads(content)
    for name in value:
        for hostile in HOSTILE:
            yield json.dumps({**value, name: hostile}) + "\n"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_fails_at_a_damaged_file(home, name):
    file = home.root / name
    content, browser = file.read_text(), None
    run_id = json.loads((home.runs / "a-run" / "run.json").read_text())["run_id"]
    try:
        for damaged in damages(content):
            file.write_text(damaged)
            if browser is None or name == "dashboard/seen.json":  # which is read when it starts
                browser = Browser(Environment(home=home))
            for page in PAGES[name]:
                answer = browser.get(page.replace("RUN", run_id))
                assert answer.status_code in {200, 303, 404, 422}, (page, damaged[:200], text(answer)[:300])
    finally:
        file.write_text(content)


def test_a_file_in_the_place_of_a_folder_and_a_folder_in_the_place_of_a_file_break_no_page(home):
    file = home.runs / "a-run" / "result.json"
    content = file.read_text()
    file.unlink()
    file.mkdir()
    try:
        assert Browser(Environment(home=home)).get("/runs").status_code == 200
    finally:
        file.rmdir()
        file.write_text(content)


def test_a_run_whose_result_is_damaged_is_not_said_to_be_what_the_damage_says(home):
    file = home.runs / "a-run" / "result.json"
    content = file.read_text()
    file.write_text(json.dumps({**json.loads(content), "status": "succeeded by <b>magic</b>"}))
    try:
        order = Browser(Environment(home=home)).get("/api/v1/orders/one").json()["state"]
    finally:
        file.write_text(content)
    assert order["state"] == "killed"


@pytest.fixture
def damaged(home):
    """An order, a schedule and a correction that cannot be read, as long as the test runs; their paths."""
    files = {
        "order": home.queue.orders / "broken" / "order.json",
        "schedule": home.queue.schedules / "nightly.json",
        "correction": home.dashboard.corrections / "20260101-000000-abcdef" / "correction.json",
    }
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{")
    yield {noun: file if noun == "schedule" else file.parent for noun, file in files.items()}
    for file in files.values():
        file.unlink()
    for folder in (files["order"].parent, files["correction"].parent):
        folder.rmdir()


def test_what_cannot_be_read_and_so_is_in_no_list_is_named_in_a_line(home, damaged, monkeypatch, capsys):
    browser = Browser(Environment(home=home))
    lines = {noun: f"1 {noun} cannot be read: {path}." for noun, path in damaged.items()}
    pages = {"order": "/runs", "schedule": "/runs/schedules", "correction": "/try/corrections"}
    for noun, page in pages.items():
        shown = text(browser.get(page))
        assert lines[noun] in shown
        assert "Remove" in shown.partition(lines[noun])[2][:40]  # what to do
    for noun in ("order", "schedule"):
        assert [each["path"] for each in browser.get(f"/api/v1/{noun}s").json()["unreadable"]] == [str(damaged[noun])]

    def glocal(*words):
        monkeypatch.setattr("sys.argv", ["glocal", *words])
        with pytest.raises(SystemExit):
            cli.main()
        return capsys.readouterr()

    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    assert f"{lines['order']} Remove its folder, and order the run again." in glocal("runs").err
    assert [each["path"] for each in json.loads(glocal("runs", "--json").out)["unreadable"]] == [str(damaged["order"])]
    assert lines["schedule"] in glocal("schedule", "list").err
    assert len(json.loads(glocal("schedule", "list", "--json").out)["unreadable"]) == 1


BROKEN_JOBS = {"promote": "/models", "import": "/data", "revise": "/try/corrections"}


@pytest.fixture
def broken_jobs(home):
    """A job of each kind that cannot be read, one as its record is gone, by kind."""
    made = {}
    for number, kind in enumerate(BROKEN_JOBS):
        made[kind] = home.dashboard.jobs / f"20260102T00000000{number}-{kind}-0123456789abcdef"
        made[kind].mkdir()
        (made[kind] / ("ended.json" if kind == "revise" else "job.json")).write_text("{")
    yield made
    for folder in made.values():
        shutil.rmtree(folder)


def test_each_job_that_cannot_be_read_is_named_with_what_is_damaged_and_what_to_do(home, broken_jobs, monkeypatch, capsys):
    browser = Browser(Environment(home=home))
    for kind, page in BROKEN_JOBS.items():
        folder = broken_jobs[kind]
        said = f"Job {folder.name} cannot be shown. {folder}/{'ended' if kind == 'revise' else 'job'}.json is damaged"
        shown = text(browser.get(page))
        assert said in shown
        assert "Remove the folder of this job, and ask for it again." in shown.partition(said)[2]
    listed = browser.get("/api/v1/jobs").json()
    assert {each["path"] for each in listed["unreadable"]} == {str(folder) for folder in broken_jobs.values()}
    assert [each["kind"] for each in listed["jobs"]] == ["diff"]
    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    monkeypatch.setattr("sys.argv", ["glocal", "jobs"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.count("Remove the folder of this job") == len(broken_jobs)


def test_where_all_can_be_read_nothing_is_said(home):
    browser = Browser(Environment(home=home))
    pages = [browser.get(page).text for page in ("/runs", "/runs/schedules", "/try/corrections", "/data", "/models")]
    assert not any("cannot be read" in page or "cannot be shown" in page for page in pages)


@pytest.mark.parametrize("at", [1e308, -1e308, float("nan"), None])
def test_a_time_that_is_none_is_a_dash(at):
    assert moment(at) == NONE

"""The pages of runs: what they show, what they order, and what they refuse."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event as sql
from sqlalchemy.engine import Engine

from components.runtime.events import FILE, emit
from dashboard.security.people import Role
from dashboard.views.runs import starting
from dashboard.views.runs.drawing import timeline_of
from dashboard.views.runs.settings_form import sections, tree_of
from model.claim import claim
from model.config import RunConfig, changed_settings, parse_config, setting_names
from model.environment import Environment
from model.files import read_json, write_json
from model.home import ALIVE, Home
from model.schemas.run_event import RunEvent
from pipelines import recurring
from pipelines.queue.orders import orders
from pipelines.run_folder import RunFolder
from pipelines.run_steps import Attempt, RunStep
from pipelines.runners.local import alive
from serving.registry.runs import Runs
from tests.support.dashboard import Browser, text
from tests.support.kubeflow import kubeflow
from tests.support.lineage import pin_drawn, register_run, release_on

pytestmark = pytest.mark.slow
ODD = "<b>odd</b> \u202eturned"


@pytest.fixture
def environment(tmp_path):
    return Environment(home=claim(Home.at(tmp_path / "home")))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """MLflow's database, which takes seconds to make."""
    home = Home.at(tmp_path_factory.mktemp("store"))
    Runs(home.tracking_uri)
    return home.root / "mlflow.db"


@pytest.fixture
def home(environment, store):
    """The home, with a database."""
    shutil.copy(store, environment.home.root)
    return environment.home


@pytest.fixture
def browser(environment):
    return Browser(environment)


@pytest.fixture
def images(tmp_path):
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def begun(monkeypatch):
    """How often the worker was asked for; it is started in the tests with a browser."""
    asked = []
    monkeypatch.setattr(starting, "ensure_worker", asked.append)
    monkeypatch.setattr(recurring, "ensure_worker", asked.append)
    return asked


def make_run(home, name, *, tags=None, params=None, events=()):
    """A run that is on record and has a folder."""
    folder = home.runs / name
    folder.mkdir(parents=True)
    (folder / ALIVE).touch()
    runs = Runs(home.tracking_uri)
    given = {"folder": folder, "glocal.kind": "training", "mlflow.user": "ann", "why": "a look", **(tags or {})}
    run_id = runs.start_run(name, {"name": "shop", "source": "shop", "model.method": "multi_head", **(params or {})}, given)
    write_json(folder / "run.json", {"run_id": run_id})
    for each in events:
        emit(folder, each)
    return runs, run_id, folder


@contextmanager
def counted_questions():
    """The statements that are sent to a database meanwhile."""
    asked = []

    def note(_connection, _cursor, statement, *_):
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append(statement)

    sql.listen(Engine, "before_cursor_execute", note)
    yield asked
    sql.remove(Engine, "before_cursor_execute", note)


def streamed(text):
    """The messages of a stream: name, id, data."""
    found = []
    for message in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def test_a_new_home_says_how_to_begin_and_nothing_is_made(browser, environment):
    shown = browser.get("/runs")
    assert shown.status_code == 200
    assert "Start the first run" in shown.text
    assert not (environment.home.root / "mlflow.db").exists()


def test_the_list_has_the_figures_with_their_intervals_and_texts_of_others_are_harmless(browser, home):
    runs, run_id, folder = make_run(home, ODD.replace("/", ""), tags={"why": ODD})
    runs.log(run_id, {"recall_at_1": 0.75, "map_at_r": 0.5})
    runs.close(run_id, succeeded=True)
    write_json(folder / "result.json", {"status": "succeeded", "report": {"recall_at_1_interval": [0.625, 0.875]}})
    shown = browser.get("/runs").text
    assert "0.750" in shown
    assert "0.625\u20130.875" in shown
    assert "<b>" not in shown
    assert "\u202e" not in shown


def test_a_run_whose_process_is_dead_is_shown_as_killed_and_recorded_as_that(browser, home):
    runs, run_id, folder = make_run(home, "one")
    with alive(folder):
        assert "running" in browser.get(f"/runs/{run_id}").text
    assert "This run was killed" in browser.get(f"/runs/{run_id}").text
    assert runs.run(run_id).state == "killed"


def test_a_run_that_was_refused_its_data_leads_to_what_its_import_found(browser, home):
    runs, run_id, _ = make_run(home, "one")
    runs.log(run_id, tags={"failed_step": "version", "error": "shop has 1 defect. Nothing was imported."})
    runs.close(run_id, succeeded=False)
    assert "/findings" not in browser.get(f"/runs/{run_id}").text
    write_json(home.data.reports / "shop.json", {"defects": [{"kind": "damaged", "name": "a.jpg", "text": "It is damaged."}]})
    assert "/data/shop/findings?of=last" in browser.get(f"/runs/{run_id}").text


def test_a_step_has_a_bar_for_each_attempt_at_its_place_in_the_run():
    train = RunStep("train", attempts=[Attempt(1010, 1020, "failed"), Attempt(1030, 1050, "succeeded")])
    drawn = timeline_of([train, RunStep("gate")], 1000, 1100)
    assert [(bar.x, bar.width, bar.state) for bar in drawn.bars["train"]] == [(10, 10, "failed"), (30, 20, "succeeded")]
    assert "gate" not in drawn.bars
    assert drawn.ticks == ((0, 0), (60, 60))


def test_the_list_is_filtered_and_paged(browser, home, monkeypatch):
    monkeypatch.setattr("dashboard.views.runs.listing.ROWS", 2)
    for number in range(3):
        runs, run_id, _ = make_run(home, f"run-{number}", params={"name": f"data-{number}"})
        runs.close(run_id, succeeded=number != 1)
    first = browser.get("/runs").text
    assert re.findall(r"<bdi>(run-\d)</bdi>", first) == ["run-2", "run-1"]
    older = re.search(r'href="([^"]+)">Older', first)[1].replace("&amp;", "&")
    assert re.findall(r"<bdi>(run-\d)</bdi>", browser.get(older).text) == ["run-0"]
    assert re.findall(r"<bdi>(run-\d)</bdi>", browser.get("/runs?state=failed").text) == ["run-1"]
    assert re.findall(r"<bdi>(run-\d)</bdi>", browser.get("/runs?data=data-0").text) == ["run-0"]
    assert browser.get("/runs?token=nonsense").status_code == 422


@pytest.mark.parametrize("path", ["/runs", "/runs/{run_id}"])
def test_a_page_asks_the_store_as_often_whatever_is_in_it(browser, home, path):
    runs, run_id, _ = make_run(home, "first")
    runs.finish(runs.start_step(run_id, "step"))
    runs.close(run_id, succeeded=True)
    path = path.format(run_id=run_id)
    browser.get(path)
    with counted_questions() as few:
        assert browser.get(path).status_code == 200
    for number in range(12):
        runs.close(make_run(home, f"more-{number}")[1], succeeded=True)
        runs.finish(runs.start_step(run_id, f"step-{number}"))
    with counted_questions() as many:
        assert browser.get(path).status_code == 200
    assert len(many) == len(few) <= 40


def test_every_setting_is_a_field_and_an_untouched_form_changes_none(browser):
    shown = browser.get("/runs/new").text
    fields = re.findall(r'name="set\.([\w.]+)"', shown)
    assert sorted(fields) == sorted(setting_names())
    defaults = {field.name: field.default for section in sections() for field in section.fields}
    assert changed_settings(parse_config(tree_of(defaults))) == {}
    assert parse_config(tree_of(dict.fromkeys(defaults, ""))) == RunConfig()


def test_each_mistake_is_named_at_its_field_and_what_was_typed_stays(browser, environment, images):
    typed = {
        "source": "/nowhere",
        "why": ODD,
        "set.train.epochs": "many",
        "set.gate.min_recall_at_1": "1.5",
        "set.train.learning_rates": "0.1, x",
    }
    refused = browser.post("/runs/new", typed)
    assert refused.status_code == 422
    for field, said in {
        "set.train.epochs": "not &#39;many&#39;",
        "set.gate.min_recall_at_1": "less than or equal to 1",
        "set.train.learning_rates": "valid number",
        "source": "There is no folder /nowhere.",
    }.items():
        mistake = re.search(rf'id="e-{re.escape(field)}">([^<]*)<', refused.text)
        assert mistake, field
        assert said in mistake[1]
        assert f'aria-describedby="e-{field}"' in refused.text
    assert 'value="many"' in refused.text
    assert 'value="&lt;b&gt;odd' in refused.text
    named = browser.post("/runs/new", {"source": str(images), "name": "a/b"})
    assert 'id="e-name"' in named.text
    assert orders(environment) == []


def test_a_form_that_is_sent_twice_or_from_two_tabs_orders_one_run(browser, environment, images, begun):
    tabs = [browser.hidden("/runs/new")["key"] for _ in range(2)]
    form = {"source": str(images), "set.train.epochs": "3", "why": "once"}
    sent = [browser.post("/runs/new", {**form, "key": key}) for key in (tabs[0], tabs[0], tabs[1])]
    assert [answer.status_code for answer in sent] == [303] * 3
    assert len({answer.headers["location"] for answer in sent}) == 1
    (kept,) = orders(environment)
    assert (kept.order.settings, kept.order.user, kept.order.why) == ({"train": {"epochs": 3}}, "ana", "once")
    assert len(begun) == 3
    again = browser.hidden("/runs/new")["key"]
    browser.post("/runs/new", {**form, "key": again})
    assert len(orders(environment)) == 2


def test_the_form_remembers_what_a_person_ordered_last(browser, environment, images, begun):
    browser.post("/runs/new", {"source": str(images), "set.train.epochs": "7", "why": "mine", "key": "first"})
    assert 'id="set.train.epochs" value="7"' in browser.get("/runs/new").text
    assert 'id="set.train.epochs" value=""' in browser.get("/runs/new?preset=default").text
    assert 'value="mine"' not in Browser(environment, name="bea").get("/runs/new").text


def test_a_preset_sets_the_settings_and_keeps_the_rest(browser, images):
    shown = browser.post("/runs/new", {"do": "preset:quick", "source": str(images), "set.train.seed": "9"}).text
    assert 'id="set.train.epochs" value="3"' in shown
    assert 'id="set.train.seed" value=""' in shown
    assert f'value="{images}"' in shown


def test_an_old_run_is_cloned_and_settings_of_its_that_are_gone_are_named(browser, home):
    _, run_id, _ = make_run(home, "old", params={"train.epochs": "5", "train.momentum": "0.9"})
    shown = browser.get(f"/runs/new?from={run_id}").text
    assert 'id="set.train.epochs" value="5"' in shown
    assert "train.momentum = 0.9" in shown


def test_viewers_order_and_cancel_nothing(environment, images, begun):
    viewer = Browser(environment, role=Role.VIEWER)
    assert viewer.get("/runs/new").status_code == 403
    assert viewer.post("/runs/new", {"source": str(images)}).status_code == 403
    assert "/runs/new" not in viewer.get("/runs").text
    assert orders(environment) == []


def test_an_order_waits_is_cancelled_and_can_be_changed(browser, environment, images, begun):
    page = browser.post("/runs/new", {"source": str(images), "key": "first"}).headers["location"]
    assert "It is the next." in browser.get(page).text
    assert "No worker runs" in browser.get("/runs").text
    assert browser.post(f"{page}/cancel").headers["location"] == page
    shown = browser.get(page).text
    assert "cancelled" in shown
    assert "Change it and try again" in shown
    assert browser.post(f"{page}/cancel").status_code == 409
    assert browser.get("/runs/orders/none").status_code == 404


def test_a_schedule_is_added_paused_and_removed(browser, images, begun):
    form = {"do": "schedule", "source": str(images), "schedule": "nightly", "crontab": "0 3 * * mon", "why": "each week"}
    assert 'id="e-crontab"' in browser.post("/runs/new", {**form, "crontab": "soon"}).text
    assert 'id="e-schedule"' in browser.post("/runs/new", {**form, "schedule": "a b"}).text
    assert browser.post("/runs/new", form).headers["location"] == "/runs/schedules"
    assert 'id="e-schedule"' in browser.post("/runs/new", form).text  # there is one of this name
    assert "nightly" in browser.get("/runs/schedules").text
    browser.post("/runs/schedules/nightly/pause", {"clock": "local"})
    assert "paused" in browser.get("/runs/schedules").text
    browser.post("/runs/schedules/nightly/resume", {"clock": "local"})
    assert "paused" not in browser.get("/runs/schedules").text
    browser.post("/runs/schedules/nightly/remove", {"clock": "local"})
    assert "No recurring run." in browser.get("/runs/schedules").text


def test_a_run_is_ordered_for_the_runner_that_is_chosen_and_the_form_remembers_it(browser, environment, images, begun):
    form = {"source": str(images), "key": "first", "runner": "docker"}
    page = browser.post("/runs/new", form).headers["location"]
    assert orders(environment)[0].order.runner == "docker"
    assert "docker" in browser.get(page).text
    assert "<option selected>docker" in browser.get("/runs/new").text
    assert 'id="e-runner"' in browser.post("/runs/new", {**form, "runner": "elsewhere"}).text
    assert "The nodes of the cluster do not see" in browser.post("/runs/new", {**form, "runner": "kubeflow"}).text
    planned = browser.post("/runs/new/plan", {"source": "s3://photos/all", "runner": "kubeflow"}).text
    assert "Kubeflow decides which steps are taken from its cache." in planned


def test_a_schedule_of_kubeflow_is_kept_there_and_shown_beside_those_of_this_machine(browser, images, begun, monkeypatch):
    form = {"do": "schedule", "source": str(images), "schedule": "nightly", "crontab": "0 3 * * mon"}
    browser.post("/runs/new", form)
    with kubeflow() as server:
        monkeypatch.setenv("GLOCAL_KUBEFLOW_HOST", server.host)
        there = {**form, "source": "s3://photos/all", "schedule": "weekly", "runner": "kubeflow"}
        assert browser.post("/runs/new", there).headers["location"] == "/runs/schedules"
        assert [made.display_name for made in server.recurring.values()] == ["weekly"]
        shown = browser.get("/runs/schedules").text
        assert "On Kubeflow" in shown
        assert "On this machine" in shown
        assert browser.post("/runs/schedules/weekly/pause", {"clock": "local"}).status_code == 404
        browser.post("/runs/schedules/weekly/pause", {"clock": "kubeflow"})
        assert browser.get("/runs/schedules").text.count("paused") == 1
        browser.post("/runs/schedules/weekly/remove", {"clock": "kubeflow"})
        assert not server.recurring
    shown = browser.get("/runs/schedules").text
    assert "Kubeflow&#39;s recurring runs cannot be shown." in shown
    assert "nightly" in shown


def test_a_stream_goes_on_after_the_last_event_that_was_seen_and_ends_with_the_run(browser, home):
    told = [RunEvent(step="version", event="started", at=1.0), RunEvent(step="version", event="progress", at=2.0, text="half")]
    _, run_id, folder = make_run(home, "one", events=told)
    whole = (folder / FILE).read_bytes()
    first = len(whole.splitlines(keepends=True)[0])
    address = f"/runs/{run_id}/events?folder=one"
    (name, number, data), last = streamed(browser.get(address).text)
    assert (name, number, [each["text"] for each in data]) == ("events", str(len(whole)), ["begins", "half"])
    assert last[0] == "end"
    assert last[2] == "killed"
    resumed = streamed(browser.get(address, headers={"Last-Event-ID": str(first)}).text)
    assert [each["text"] for each in resumed[0][2]] == ["half"]
    assert browser.get(f"/runs/{'b' * 32}/events?folder=one").status_code == 404
    assert browser.get(f"/runs/{run_id}/events?folder=..").status_code == 404


def test_a_report_has_no_rights_and_other_files_are_not_shown_as_pages(browser, home):
    _, run_id, folder = make_run(home, "one")
    (folder / "report").mkdir()
    (folder / "report" / "report.html").write_text("<script>alert(1)</script>")
    report = browser.get(f"/runs/{run_id}/report")
    assert report.headers["content-security-policy"].endswith("sandbox")
    assert "script" not in report.headers["content-security-policy"]
    saved = browser.get(f"/runs/{run_id}/files/report/report.html")
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.headers["content-type"] == "application/octet-stream"
    (folder / "train.log").write_text("<b>line</b>\n")
    log = browser.get(f"/runs/{run_id}/logs/train")
    assert (log.text, log.headers["content-type"]) == ("<b>line</b>\n", "text/plain; charset=utf-8")
    for path in ("files/../../mlflow.db", "files/%2e%2e/%2e%2e/mlflow.db", "logs/..%2f..%2fqueue", "files/alive"):
        assert browser.get(f"/runs/{run_id}/{path}").status_code == 404, path


def test_a_report_that_only_mlflow_keeps_is_shown(browser, home, tmp_path):
    runs, run_id, _ = make_run(home, "one", tags={"folder": "/elsewhere/runs/one"})
    (tmp_path / "report.html").write_text("kept")
    runs.log_file(run_id, tmp_path / "report.html", "report")
    assert browser.get(f"/runs/{run_id}/report").text == "kept"
    assert "not on this machine" in browser.get(f"/runs/{run_id}").text


def test_why_a_run_failed_or_was_refused_is_said_in_words(browser, home):
    runs, run_id, _ = make_run(home, "failed")
    runs.fail(runs.start_step(run_id, "train"), "The loss diverged.", "Lower the learning rate.")
    runs.close(run_id, succeeded=False)
    shown = browser.get(f"/runs/{run_id}").text
    assert "The step train failed. The loss diverged." in shown
    assert "Lower the learning rate." in shown
    runs, refused, _ = make_run(home, "refused", tags={"passed": "False", "refused": "Recall@1 is 0.1; at least 0.9 is asked."})
    runs.close(refused, succeeded=True)
    assert "Recall@1 is 0.1; at least 0.9 is asked." in browser.get(f"/runs/{refused}").text


def test_runs_are_compared_by_what_differs_with_the_queries_won_and_lost(browser, home, tmp_path):
    pin = pin_drawn(home, tmp_path)
    for seed in range(2):
        register_run(
            home, release_on(pin, tmp_path / str(seed), seed=seed), tmp_path / f"e{seed}", f"train.epochs={seed + 1}", seed=seed
        )
    one, other = (run.id for run in reversed(Runs(home.tracking_uri).runs()))
    address = f"/runs/compare?run={one}&run={other}"
    shown = browser.get(address).text
    assert re.findall(r"<code>([a-z_.]+)</code></th>", shown) == ["train.epochs"]
    assert "0.500\u20130.900" in shown
    assert re.search(r"\d+ won, \d+ lost of \d+", shown)
    assert "train.seed" in browser.get(f"{address}&all=true").text
    images = browser.get(f"/runs/compare/queries?run={one}&run={other}")
    assert "data:image" in images.text
    assert images.headers["content-security-policy"].endswith("sandbox")
    for wrong in (f"run={one}", f"run={one}&run={one}", "", "&".join(f"run={one[:-1]}{n}" for n in range(8))):
        assert browser.get(f"/runs/compare?{wrong}").status_code == 422, wrong
    assert browser.get(f"/runs/compare?run={one}&run={'0' * 32}").status_code == 404
    assert browser.get(f"/runs/compare?run={one}&run=' OR 1").status_code == 404


def test_the_files_of_runs_that_are_compared_are_read_without_a_question_to_the_store(browser, home, tmp_path):
    pin = pin_drawn(home, tmp_path)
    for seed in range(3):
        register_run(home, release_on(pin, tmp_path / str(seed), seed=seed), tmp_path / f"e{seed}", seed=seed)
    ids = [f"run={run.id}" for run in Runs(home.tracking_uri).runs()]
    browser.get(f"/runs/compare?{'&'.join(ids)}")
    asked = []
    for count in (2, 3):
        with counted_questions() as questions:
            shown = browser.get(f"/runs/compare?{'&'.join(ids[:count])}")
        assert shown.text.count(" won, ") == count - 1
        asked.append(len(questions))
    assert asked[1] <= 40
    assert asked[1] - asked[0] <= 6  # the two curves of the third run


def test_curves_are_drawn_by_epoch(browser, home):
    from tests.support.reports import make_training

    runs, run_id, _ = make_run(home, "trained")
    runs.log_training(run_id, make_training(0.5, 0.75, 0.625, best=1))
    shown = browser.get(f"/runs/{run_id}").text
    assert "held-out MAP@R, epoch 1: 0.7500" in shown
    assert "training loss, epoch 2: 0.5000" in shown
    assert "best epoch 1 of 2" in shown


def test_a_run_of_a_terminal_is_cancelled_on_its_page_which_says_by_whom(environment, home):
    _, run_id, folder = make_run(home, "one")
    page = f"/runs/{run_id}"
    bob, viewer = Browser(environment, name="bob"), Browser(environment, role=Role.VIEWER)
    with alive(folder):
        assert "Cancel the run" in bob.get(page).text
        assert "Cancel the run" not in viewer.get(page).text
        assert viewer.post(f"{page}/cancel").status_code == 403
        assert bob.post(f"{page}/cancel").headers["location"] == page
        assert read_json(folder / "cancelled.json")["by"] == "bob"  # its process looks for that: see tests of pipelines.runners
        assert "bob cancelled it; it is ending." in text(bob.get(page))
        Browser(environment, name="eve").post(f"{page}/cancel")
        assert RunFolder(folder).cancelled.by == "bob"
    assert "bob cancelled this run." in text(bob.get(page))
    refused = bob.post(f"{page}/cancel")
    assert (refused.status_code, "has ended: killed" in text(refused)) == (409, True)


def test_a_run_of_another_machine_is_not_said_to_be_cancelled_from_here(environment, home, tmp_path):
    _, run_id, _ = make_run(home, "far", tags={"folder": tmp_path / "elsewhere"})
    browser = Browser(environment)
    assert "was started on another machine" in browser.get(f"/runs/{run_id}").text
    assert browser.post(f"/runs/{run_id}/cancel").status_code == 404


def test_a_run_of_the_queue_is_cancelled_through_its_order(environment, home, images, begun):
    browser = Browser(environment)
    order = browser.post("/runs/new", {"source": str(images), "key": "first"}).headers["location"].rpartition("/")[2]
    _, run_id, _ = make_run(home, "queued", tags={"order": order})
    browser.post(f"/runs/{run_id}/cancel")
    assert orders(environment)[0].cancelled_by == "ana"


def test_another_trunk_is_checked_and_ordered_without_torch(environment, images):
    script = f"""
import sys
from dashboard.views.runs import starting
from model.environment import Environment
from model.home import Home
from tests.support.dashboard import Browser, text
starting.ensure_worker = lambda _: None
browser = Browser(Environment(home=Home.at({str(environment.home.root)!r})))
form = {{"source": {str(images)!r}, "set.model.trunk": "resnet81", "set.model.weights": "none", "key": "first"}}
assert "There is no trunk resnet81" in text(browser.post("/runs/new", form))
assert browser.post("/runs/new/plan", {{**form, "set.model.trunk": "resnet18"}}).status_code == 200
ordered = browser.post("/runs/new", {{**form, "set.model.trunk": "resnet18"}})
print(ordered.status_code, [name for name in ("torch", "timm", "torchvision") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=100
    )
    assert done.stdout == "303 []\n", done.stderr

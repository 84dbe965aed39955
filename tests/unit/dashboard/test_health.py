"""Health: what is down is said to be down, since when, and what to do; nothing that hangs keeps a page waiting."""

import shutil
import threading
import time

import pytest

from dashboard.monitoring.checks import (
    CHECKS,
    Found,
    Part,
    look_at_endpoint,
    look_at_pipelines,
    look_at_queue,
    look_at_registry,
    look_at_remote,
)
from dashboard.monitoring.disk import count_parts, measure
from dashboard.monitoring.monitor import Monitor
from dashboard.security.people import Role
from model.claim import claim
from model.data.versions.repository import writing
from model.environment import Environment
from model.errors import GlocalError, InvalidInput, StorageFailed, Unavailable
from model.files import read_json, write_json
from model.home import Home
from serving.gateway.readings import Reading, Served
from tests.support.dashboard import Browser
from tests.support.lineage import pin_drawn

INF = float("inf")


@pytest.fixture
def environment(tmp_path):
    return Environment(home=claim(Home.at(tmp_path / "home")))


@pytest.fixture
def browser(environment):
    return Browser(environment)


def watch(browser, **checks):
    """Let the browser's dashboard look by these checks alone, once."""
    browser.app.state.environment.home.dashboard.root.mkdir(parents=True, exist_ok=True)
    named = {name: (name.capitalize(), check) for name, check in checks.items()}
    monitor = Monitor(browser.app.state.environment, named, every_s=3600, patience_s=0.3)
    monitor.start = lambda: None  # looks when the test says so
    browser.app.state.monitor = monitor
    monitor.look()
    return monitor


def up(_):
    return Found("up", "All is well", parts=(Part("demo version 1", True, "1 of 1 worker ready"),))


def down(_):
    raise Unavailable("MLflow's server does not answer.", "Start it again.")


def test_before_the_first_look_nothing_is_claimed(environment):
    browser = Browser(environment)
    browser.app.state.monitor.start = lambda: None
    shown = browser.get("/health").text
    assert "not known yet" in shown
    assert "Everything that is used is up" not in shown


def test_a_service_that_is_up_says_so_with_its_parts(browser):
    watch(browser, endpoint=up)
    shown = browser.get("/health").text
    assert "All is well" in shown
    assert "1 of 1 worker ready" in shown
    assert "Up at every check since" in shown


def test_what_is_down_says_what_to_do_and_when_it_was_last_seen(browser):
    monitor = watch(browser, mlflow=up)
    monitor._checks = {"mlflow": ("Mlflow", down)}
    monitor.look()
    shown = browser.get("/health")
    assert shown.status_code == 200
    for text in ("not up", "does not answer.", "Start it again.", "Last seen up <time"):
        assert text in shown.text
    assert "Traceback" not in shown.text


def test_when_it_was_last_seen_up_outlives_the_dashboard(browser, environment):
    watch(browser, mlflow=up)
    seen = read_json(environment.home.dashboard.seen)["mlflow"]
    later = Browser(environment)
    watch(later, mlflow=down)
    assert later.app.state.monitor.view.services[0].seen_up == seen
    assert read_json(environment.home.dashboard.seen)["mlflow"] == seen


def test_a_file_of_sightings_that_is_damaged_is_no_fault(environment):
    environment.home.dashboard.root.mkdir(parents=True, exist_ok=True)
    environment.home.dashboard.seen.write_text("[1, 2")
    assert Monitor(environment).view.services[0].seen_up is None
    write_json(environment.home.dashboard.seen, {"mlflow": "yesterday"})
    assert Monitor(environment).view.services[0].seen_up is None


def test_a_check_that_hangs_keeps_nobody_waiting_and_is_not_begun_again(browser):
    release, begun = threading.Event(), []

    def hangs(_):
        begun.append(1)
        release.wait(20)
        return Found("up", "at last")

    started = time.monotonic()
    monitor = watch(browser, slow=hangs, endpoint=up)
    monitor.look()
    assert time.monotonic() - started < 5
    slow, endpoint = monitor.view.services
    assert (slow.state, endpoint.state) == ("down", "up")
    assert slow.said.startswith("It has not answered for")
    assert len(begun) == 1
    release.set()
    monitor._looks["slow"].thread.join(5)
    monitor.look()
    assert monitor.view.services[0].state == "up"


def test_a_check_that_fails_in_another_way_is_named_without_its_trace(browser):
    watch(browser, mlflow=lambda _: 1 / 0)
    shown = browser.get("/health").text
    assert "ZeroDivisionError" in shown
    assert "Traceback" not in shown


def test_every_other_page_says_in_one_line_what_is_down(browser):
    watch(browser, mlflow=down)
    shown = browser.get("/data").text
    assert shown.count("<strong>Mlflow</strong> does not work") == 1
    watch(browser, mlflow=up)
    assert 'class="outage"' not in browser.get("/data").text


def test_pages_do_not_wait_for_a_server_of_mlflow_that_is_known_to_be_down(environment, monkeypatch):
    browser = Browser(environment.model_copy(update={"tracking_uri": "http://127.0.0.1:1"}))
    watch(browser, mlflow=down)
    monkeypatch.setattr("dashboard.views.data.catalogue.every_version", lambda _: pytest.fail("it was asked"))
    shown = browser.get("/data")
    assert shown.status_code == 200
    assert "is not known now: MLflow&#39;s server does not answer." in shown.text


def test_a_failure_of_mlflows_own_is_a_page_of_one_line(browser, monkeypatch, caplog):
    class MlflowException(Exception):
        __module__ = "mlflow.exceptions"

    def fail(*_, **__):
        raise MlflowException("connection to database-1 refused, password=x")

    monkeypatch.setattr("dashboard.views.data.listing.all_datasets", fail)
    answer = browser.get("/data")
    assert answer.status_code == 503
    assert "MLflow does not answer as it should" in answer.text
    assert "password" not in answer.text
    assert "database-1 refused" in caplog.text


def test_the_part_that_changes_says_what_changed(browser):
    watch(browser, mlflow=down)
    assert 'data-every="5" data-say="Not up: Mlflow."' in browser.get("/health").text


def test_logs_are_for_admins(environment):
    environment.home.serve.audit_log.parent.mkdir(parents=True)
    environment.home.serve.audit_log.write_text("refused 401 key=- <script>\n" * 100)
    assert "refused 401" not in Browser(environment, Role.OPERATOR).get("/health").text
    shown = Browser(environment).get("/health").text
    assert shown.count("refused 401") == 15
    assert "<script>\n" not in shown


def test_looking_now_is_a_change_of_ones_own_session(browser):
    asked = []
    browser.app.state.monitor.look_soon = lambda: asked.append(1)
    assert browser.post("/health/look").headers["location"] == "/health"
    assert asked == [1]


def test_rates_and_times_of_the_endpoint_are_of_the_last_minutes(browser):
    monitor = watch(browser, endpoint=up)
    bounds = (0.1, 0.2, INF)
    now = time.time()
    for number in range(4):
        count = 30.0 * number
        monitor._readings.append(
            Reading(
                now - 30 + 10 * number,
                {"search": Served({"200": count, "503": number}, bounds, (count, count, count))},
                {"r1": (90.0, 10.0)},
                {},
            )
        )
    shown = browser.get("/health").text
    assert "3.10" in shown  # 93 requests in 30 s
    assert "50 ms" in shown
    assert "10.0 %" in shown
    assert 'class="spark"' in shown


def test_what_was_never_asked_has_a_dash_and_no_zero(browser):
    monitor = watch(browser, endpoint=up)
    monitor._readings.append(Reading(time.time(), {"search": Served({"200": 0.0}, (INF,), (0.0,))}, {}, {}))
    row = browser.get("/health").text.split('scope="row">search')[1].split("</tr>")[0]
    assert row.count("\u2013") == 4  # rate, both times, and the time since its start


def test_an_endpoint_that_should_serve_and_does_not_is_down(environment):
    assert look_at_endpoint(environment).state == "off"
    entry = {"version": "1", "archive": "demo-1.mar", "sha256": "0", "release": "r", "embedding_space_id": "s", "workers": 1}
    environment.home.serve.root.mkdir()
    write_json(environment.home.serve.deployed, {"demo": entry})
    with pytest.raises(Unavailable, match="should serve"):
        look_at_endpoint(environment)


def test_a_damaged_or_lost_database_is_down_and_a_missing_one_is_not_in_use(environment):
    assert look_at_registry(environment).state == "off"
    file = environment.home.root / "mlflow.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageFailed, match="damaged"):
        look_at_registry(environment)
    file.unlink()
    (environment.home.root / "mlartifacts").mkdir()
    with pytest.raises(StorageFailed, match="missing"):
        look_at_registry(environment)


def test_an_mlflow_server_that_does_not_answer_is_down(environment):
    with pytest.raises(Unavailable, match="does not answer"):
        look_at_registry(environment.model_copy(update={"tracking_uri": "http://ann:secret@127.0.0.1:9"}))


def test_a_remote_that_is_gone_is_down(environment, tmp_path):
    assert look_at_remote(environment).state == "off"
    with pytest.raises(GlocalError), writing(environment.home.data, lambda: None):
        raise InvalidInput("The images are damaged.")  # the first import makes the repository, and is refused
    assert environment.home.data.repo.is_dir()
    assert look_at_remote(environment).state == "off"
    pin_drawn(environment.home, tmp_path)
    assert look_at_remote(environment).state == "up"
    shutil.rmtree(environment.home.data.remote)
    with pytest.raises(StorageFailed, match="is missing"):
        look_at_remote(environment)
    assert look_at_remote(environment.model_copy(update={"data_remote": str(tmp_path)})).state == "up"
    with pytest.raises(StorageFailed):
        look_at_remote(environment.model_copy(update={"data_remote": str(tmp_path / "gone")}))


def test_a_bucket_that_cannot_be_asked_is_down(environment, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(GlocalError, match="cannot be read"):
        look_at_remote(environment.model_copy(update={"data_remote": "s3://photos/versions"}))


def test_kubeflow_is_not_in_use_unless_it_is_named(environment, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    assert look_at_pipelines(environment).state == "off"
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "127.0.0.1:9")
    with pytest.raises(Unavailable, match="Kubeflow"):
        look_at_pipelines(environment)


def test_a_queue_without_anything_is_not_in_use(environment):
    assert look_at_queue(environment).state == "off"


def test_every_check_of_a_new_home_ends_well(environment):
    monitor = Monitor(environment, patience_s=30)
    monitor.look()
    assert [each.key for each in monitor.view.services] == list(CHECKS)
    assert {each.state for each in monitor.view.services if each.key != "disk"} == {"off"}


def test_the_disk_is_measured_and_the_parts_are_counted(environment):
    home = environment.home
    (home.work / "a").mkdir(parents=True)
    (home.work / "a" / "b").write_bytes(b"x" * 1000)
    (home.work / "c").write_bytes(b"x" * 24)
    (home.work / "loop").symlink_to(home.work)
    parts = {each.name: each for each in count_parts(home)}
    assert (parts["work"].files, parts["work"].whole) == (3, True)
    assert parts["work"].bytes >= 1024
    disk = measure(home, None)
    assert 0 < disk.free < disk.total


def test_a_walk_without_end_is_cut_and_said_to_be(environment, monkeypatch):
    monkeypatch.setattr("dashboard.monitoring.disk.MOST_FILES", 5)
    environment.home.work.mkdir()
    for number in range(9):
        (environment.home.work / str(number)).write_bytes(b"x")
    (part,) = [each for each in count_parts(environment.home) if each.name == "work"]
    assert (part.files, part.whole) == (5, False)


def test_the_monitor_looks_by_itself_and_ends(environment):
    looked = threading.Event()

    def check(_):
        looked.set()
        return Found("up", "")

    monitor = Monitor(environment, {"x": ("X", check)}, every_s=0.01)
    monitor.start()
    monitor.start()
    assert looked.wait(10)
    monitor.close()
    assert not monitor._thread.is_alive()

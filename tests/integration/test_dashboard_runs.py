"""Runs in a real browser, before a real dashboard: started from the form, followed as they go, killed, and found again."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from components.runtime.events import emit
from model.environment import Environment
from model.files import read_json, write_json
from model.home import Home
from model.schemas.run_event import RunEvent
from pipelines.queue.orders import orders
from pipelines.queue.worker import end_worker
from pipelines.runners.local import alive
from serving.processes import bind_port, wait_until
from serving.registry.runs import Runs
from tests.support.browser import browsing
from tests.support.commands import end, processes
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home.at(tmp_path_factory.mktemp("dashboard") / "home")
    yield home
    end_worker(home)
    end(home.root)


@pytest.fixture(scope="module")
def uri(home):
    return home.tracking_uri


class Dashboard:
    """The dashboard's process, which can be killed and started again at its port."""

    def __init__(self, home):
        self.home, self.process = home, None
        with bind_port(random.randint(20_000, 30_000)) as free:  # no port of outgoing connections, which may take it meanwhile
            self.port = free.getsockname()[1]

    def words(self, command):
        return [sys.executable, "-m", "dashboard", command]

    def start(self):
        environment = os.environ | {
            "GLOCAL_HOME": str(self.home.root),
            "GLOCAL_DASHBOARD_PORT": str(self.port),
            "GLOCAL_USER": "ana",
        }
        self.process = subprocess.Popen(self.words("serve"), env=environment)
        assert wait_until(
            lambda: self.home.dashboard.state.exists() and read_json(self.home.dashboard.state)["pid"] == self.process.pid,
            deadline_s=60,
        )
        self.address = read_json(self.home.dashboard.state)["local"]
        assert self.address.endswith(f":{self.port}")
        return self

    def end(self, number=signal.SIGTERM):
        """End it; returns the seconds that this took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        return time.monotonic() - began

    def link(self):
        environment = os.environ | {"GLOCAL_HOME": str(self.home.root)}
        return subprocess.run(self.words("link"), env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def dashboard(home):
    started = Dashboard(home).start()
    yield started
    started.end()


@pytest.fixture(scope="module")
def context(dashboard):
    with browsing() as context:
        context.new_page().goto(dashboard.link())
        yield context


@pytest.fixture
def page(context):
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    page.close()
    assert faults == []


@contextmanager
def under_way(home, name):
    """A run that is on record, and whose process lives as long as the block: its id and its folder."""
    folder = home.runs / name
    runs = Runs(home.tracking_uri)
    with alive(folder):
        run_id = runs.start_run(
            name, {"name": "shop", "model.method": "multi_head"}, {"folder": folder, "glocal.kind": "training", "why": "a look"}
        )
        write_json(folder / "run.json", {"run_id": run_id})
        emit(folder, RunEvent(step="version", event="started", at=time.time()))
        yield run_id, folder


def progress(folder, text, **more):
    emit(folder, RunEvent(step="version", event="progress", at=time.time(), text=text, **more))


def lines(page):
    return page.locator("#log li span:last-child").all_inner_texts()


def await_line(page, text, timeout=None):
    """Until the stream brought a line: the table of steps may show it before, as a part of the page that was fetched again."""
    page.locator("#log li span:last-child").get_by_text(text, exact=True).wait_for(timeout=timeout)


def test_an_event_is_seen_within_a_second_and_a_killed_run_within_five(home, dashboard, page):
    with under_way(home, "watched") as (run_id, folder):
        page.goto(f"{dashboard.address}/runs/{run_id}")
        page.wait_for_function("() => stream?.readyState === 1")
        assert page.locator("#top .state").inner_text().endswith("running")
        began = time.monotonic()
        progress(folder, "64 of 584 images checked", done=64, total=584)
        page.get_by_text("64 of 584 images checked").first.wait_for()
        assert time.monotonic() - began < 1
    began = time.monotonic()
    page.locator("#top .state.killed").wait_for()
    assert time.monotonic() - began < 5
    assert "killed" in page.locator("#steps table").inner_text()
    page.goto(f"{dashboard.address}/runs")
    assert page.locator("tr", has_text="watched").locator(".state").inner_text().endswith("killed")
    assert wait_until(lambda: Runs(home.tracking_uri).run(run_id).state == "killed", deadline_s=5)  # and recorded as that


def test_a_server_that_ends_is_shown_as_that_and_after_its_return_nothing_is_missing_or_twice(home, dashboard, page):
    with under_way(home, "longer") as (run_id, folder):
        page.goto(f"{dashboard.address}/runs/{run_id}")
        page.wait_for_function("() => stream?.readyState === 1")
        progress(folder, "before")
        await_line(page, "before")
        assert dashboard.end() < 4  # an open stream does not keep it
        page.locator("#stale:visible", has_text="does not answer").wait_for(timeout=5000)
        progress(folder, "meanwhile")
        dashboard.start()
        began = time.monotonic()
        await_line(page, "meanwhile", timeout=5000)
        page.locator("#stale").wait_for(state="hidden", timeout=5000)
        assert time.monotonic() - began < 5
        progress(folder, "after")
        await_line(page, "after")
        assert [text for text in lines(page) if text in {"before", "meanwhile", "after"}] == ["before", "meanwhile", "after"]


def hide(page, hidden):
    """Let a page think that it is behind another tab, as Chromium without a window never does."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_pages_behind_others_take_no_connections_and_miss_nothing(home, dashboard, page):
    """A browser has six connections for all of its pages."""
    with under_way(home, "tabs") as (run_id, folder):
        others = [page.context.new_page() for _ in range(5)]
        for each in (page, *others):
            each.goto(f"{dashboard.address}/runs/{run_id}")
            each.wait_for_function("() => stream?.readyState === 1")
            progress(folder, f"line {len(lines(each))}")
            hide(each, True)
        seventh = page.context.new_page()
        began = time.monotonic()
        seventh.goto(f"{dashboard.address}/runs", timeout=10_000)
        assert time.monotonic() - began < 3
        progress(folder, "meanwhile")
        hide(page, False)
        await_line(page, "meanwhile", timeout=5000)
        assert len(lines(page)) == len(set(lines(page))) == 8  # 'begins', six lines and 'meanwhile'
        for each in (seventh, *others):
            each.close()


def test_a_page_whose_stream_is_refused_asks_again_and_is_not_loaded_anew(home, dashboard, page):
    with under_way(home, "refused") as (run_id, _):
        page.route("**/events?*", lambda route: route.fulfill(status=429, body="too many"))
        page.goto(f"{dashboard.address}/runs/{run_id}")
        loaded = page.evaluate("performance.timeOrigin")
    page.locator("#top .state.killed").wait_for(timeout=10_000)
    assert page.evaluate("performance.timeOrigin") == loaded


def test_the_list_follows_a_run_and_keeps_what_was_chosen(home, dashboard, page):
    with under_way(home, "listed"):
        page.goto(f"{dashboard.address}/runs")
        page.locator("tr", has_text="listed").get_by_role("checkbox").check()
        assert page.locator("tr", has_text="listed").locator(".state").inner_text().endswith("running")
    page.locator("tr", has_text="listed").locator(".state.killed").wait_for(timeout=5000)
    assert page.locator("tr", has_text="listed").get_by_role("checkbox").is_checked()


@pytest.mark.long
def test_a_run_is_started_from_the_form_once_watched_to_its_end_and_its_report_read(home, dashboard, page, tmp_path):
    for label in range(8):
        for view in range(4):
            file = tmp_path / "shop" / str(label) / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw_view(label, view))
    page.goto(f"{dashboard.address}/runs/new")
    page.get_by_role("button", name="Quick look").click()
    page.locator("#source").fill(str(tmp_path / "shop"))
    page.get_by_label("Reason").fill("from the form")
    page.get_by_label("Image size").fill("wide")
    page.get_by_role("button", name="Start the run").click()
    assert "not 'wide'" in page.locator("[id='e-set.model.image_size']").inner_text()
    assert page.get_by_label("Reason").input_value() == "from the form"
    page.get_by_label("Image size").fill("32")
    page.get_by_label("Approval", exact=False).first.select_option("required")
    page.locator("#plan li", has_text="train").wait_for(timeout=60_000)  # what will run is told before the start
    page.get_by_role("button", name="Start the run").dblclick()
    page.wait_for_url(re.compile("/runs/(orders/)?[0-9a-f]+$"))
    page.wait_for_url(re.compile("/runs/[0-9a-f]{32}$"), timeout=60_000)
    assert len(orders(Environment(home=home))) == 1
    page.locator("#log li", has_text="train").first.wait_for(timeout=120_000)
    page.locator("#top .state.awaiting").wait_for(timeout=300_000)
    assert "passed, and serves once operators have approved it" in page.locator("#top").inner_text()
    assert "Every rule held" in page.locator("#gate").inner_text()
    assert page.locator("#curves polyline").count() >= 1
    run_address = page.url
    page.get_by_role("link", name="Report").click()
    assert "Recall@1" in page.locator("body").inner_text()
    page.goto(run_address)
    page.get_by_role("link", name="Run again with changes").click()
    assert page.locator("[id='set.model.image_size']").input_value() == "32"
    page.locator("#plan li.cached", has_text="train").wait_for(timeout=60_000)


def test_a_run_is_cancelled_on_its_page(home, dashboard, page, tmp_path):
    for label in range(8):
        (tmp_path / "stall" / str(label)).mkdir(parents=True)
        for view in range(4):
            (tmp_path / "stall" / str(label) / f"{view}.png").write_bytes(draw_view(label, view + 4))
    page.goto(f"{dashboard.address}/runs/new?source={tmp_path / 'stall'}")
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile("/runs/[0-9a-f]{32}$"), timeout=60_000)
    page.locator("#end summary").click()
    page.get_by_role("button", name="Cancel the run").click()
    page.locator("#top .state.killed").wait_for(timeout=60_000)
    assert wait_until(
        lambda: not [each for each in processes(home.root) if "runners.local" in " ".join(each.cmdline())], deadline_s=20
    )

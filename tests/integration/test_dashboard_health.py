"""The page Health in a real browser: it shows what changes by itself, says it, and says so when the dashboard is gone."""

import threading
import time

import pytest
import uvicorn

from dashboard.app import make_app
from dashboard.monitoring.checks import Found
from dashboard.monitoring.monitor import Monitor
from dashboard.security.people import Role
from model.claim import claim
from model.environment import Environment
from model.errors import Unavailable
from model.home import Home
from serving.processes import bind_port
from tests.support.browser import browsing, overflow, serious_faults

pytestmark = pytest.mark.integration


class Running:
    """A dashboard that serves in this process, with one check whose outcome the test sets."""

    def __init__(self, home):
        self.is_up = True
        self.socket = bind_port(0)
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        environment = Environment(home=home)
        self.app = make_app(environment, address=self.address)
        self.app.state.monitor = Monitor(environment, {"mlflow": ("MLflow", self.check)}, every_s=0.2)
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()

    def check(self, _):
        if not self.is_up:
            raise Unavailable("MLflow's server does not answer.", "Start it again.")
        return Found("up", "All is well")

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def running(tmp_path):
    dashboard = Running(claim(Home.at(tmp_path / "home")))
    yield dashboard
    dashboard.stop()


@pytest.fixture
def page(running):
    with browsing(viewport={"width": 390, "height": 800}) as context:
        state = running.app.state
        cookie = state.sessions.begin("ana", Role.ADMIN)
        context.add_cookies([{"name": state.cookie, "value": cookie, "url": running.address}])
        yield context.new_page()


def test_health_changes_by_itself_and_says_so(running, page):
    page.goto(f"{running.address}/health")
    page.wait_for_selector("text=All is well", timeout=15_000)
    page.focus("#log-endpoint > summary")
    page.keyboard.press("Enter")
    running.is_up = False
    page.wait_for_selector("text=MLflow's server does not answer.", timeout=15_000)
    assert "Last seen up" in page.inner_text("main")
    assert page.inner_text("#said") == "Not up: MLflow."
    assert page.evaluate("document.activeElement.matches('#log-endpoint[open] > summary')")  # what a reader opened stays so
    assert overflow(page) <= 0
    assert serious_faults(page) == []


def test_a_dashboard_that_is_gone_is_said_to_be_gone(running, page):
    page.goto(f"{running.address}/health")
    page.wait_for_selector("text=All is well", timeout=15_000)
    assert not page.is_visible("#stale")
    running.stop()
    deadline = time.monotonic() + 20
    while not page.is_visible("#stale") and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    assert page.is_visible("text=The dashboard does not answer. What this page shows is from")

"""A dashboard that is open all day: a thousand openings of the pages of data and of health leave its memory as it was."""

import gc

import psutil
import pytest

from model.claim import claim
from model.environment import Environment
from model.home import Home
from tests.support.browsing import make_home, make_revisions
from tests.support.dashboard import Browser
from tests.support.lineage import NAME

pytestmark = pytest.mark.slow
OPENINGS = 100
"""Openings of each of the ten pages; `python -m benchmarks.dashboard` opens all pages a thousand times."""
MOST_MB = 8.0
"""Megabytes by which the process may grow over them: what Python's allocator keeps in parts."""
PATHS = (
    "/data",
    f"/data/{NAME}",
    f"/data/{NAME}/samples",
    f"/data/{NAME}/samples/3",
    f"/data/{NAME}/findings",
    f"/data/{NAME}/look-alikes",
    f"/data/{NAME}/alike/3",
    "/data-images/{md5}/3/160",
    "/health",
)


def grown_mb(browser, path, openings):
    """Megabytes by which this process grows over some openings of a page, after some more."""
    process = psutil.Process()
    for number in range(openings + openings // 5):
        if number == openings // 5:
            gc.collect()
            before = process.memory_info().rss
        assert browser.get(path).status_code == 200
    gc.collect()
    return (process.memory_info().rss - before) / 2**20


@pytest.fixture(scope="module")
def without_registry(tmp_path_factory):
    root = tmp_path_factory.mktemp("memory")
    home = claim(Home.at(root / "home"))
    _, pin = make_revisions(home, root)
    browser = Browser(Environment(home=home))
    browser.app.state.monitor.look()
    browser.app.state.monitor.start = lambda: None
    return browser, pin


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.timeout(240)
def test_a_thousand_openings_leave_the_memory_as_it_was(without_registry, path):
    browser, pin = without_registry
    assert grown_mb(browser, path.format(md5=pin.md5), OPENINGS) < MOST_MB


@pytest.mark.parametrize("path", ["/data", f"/data/{NAME}@{{rev}}/alike/3"])
def test_openings_that_ask_the_registry_leave_the_memory_as_it_was(tmp_path_factory, path):
    environment, first, _ = make_home(tmp_path_factory.mktemp("memory"))
    browser = Browser(environment)
    assert grown_mb(browser, path.format(rev=first.rev), 100) < MOST_MB

"""Every page of the dashboard in a real browser: nothing from another host, light, usable by everybody, on a phone."""

import re

import pytest

from dashboard.security.people import Role
from dashboard.security.sessions import Sessions
from model.environment import Environment
from model.home import Home
from model.schemas.sent_file import SentFile
from pipelines.actions.action import API
from pipelines.jobs.enrolment import enrol
from pipelines.jobs.job import begin_job
from serving.registry.runs import Runs
from tests.support.browser import MAX_WEIGHT, Watch, browsing, overflow, serious_faults
from tests.support.dashboard import Browser, addresses, serving_dashboard
from tests.support.jobs import await_job
from tests.support.lineage import NAME, pin_drawn, register_run, release_on

pytestmark = pytest.mark.integration
ODD = "<script>alert(1)</script> \u202eabc\u0645\u0631\u062d\u0628\u0627 " + "long" * 60
"""A name that breaks pages: markup, a change of direction, another script, and no place to break the line."""
NOT_PAGES = ("/static", "/healthz", "/oidc", "/leave", API)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two versions of a model, their data and runs, a run that failed, one of an odd name, and one that is under way."""
    root = tmp_path_factory.mktemp("pages")
    home = Home.at(root / "home")
    pin = pin_drawn(home, root)
    for seed in range(2):
        register_run(
            home, release_on(pin, root / str(seed), seed=seed), root / f"evidence-{seed}", f"train.epochs={seed + 1}", seed=seed
        )
    runs = Runs(home.tracking_uri)
    runs.close(runs.start_run(ODD, {"train.epochs": 3}, {"why": ODD}), succeeded=False, headline=ODD)
    return home


@pytest.fixture(scope="module")
def environment(home):
    return Environment(home=home)


@pytest.fixture(scope="module")
def address(environment):
    with serving_dashboard(environment) as address:
        yield address


@pytest.fixture(scope="module")
def paths(environment, home):
    """Every page, with something that is there in place of what its address names."""
    run = Runs(home.tracking_uri).runs()[-1].id
    known = {"name": NAME, "model": NAME, "version": "1", "run_id": run, "run": run, "data": NAME}
    known |= {"dataset": NAME, "reference": NAME, "row": "0"}
    asked = enrol.asked(model=NAME, label=ODD, images=(SentFile.of(ODD[:100], b"no image"),), why=ODD)
    known["job_id"] = await_job(home, begin_job(home, asked, by=ODD)).id
    found = ["/runs/none", "/nothing"]
    for path, method in addresses(Browser(environment).app):
        if method == "GET" and not path.startswith(NOT_PAGES):
            filled = re.sub(r"{(\w+)(?::path)?}", lambda part: known.get(part[1], "none"), path)
            found.append(filled)
    return sorted(set(found))


@pytest.fixture(scope="module", params=["light", "dark"])
def watch(request, environment, address):
    sessions = Sessions(environment.home.dashboard)
    with browsing(color_scheme=request.param, viewport={"width": 1280, "height": 800}) as context:
        cookie = f"glocal_{address.rpartition(':')[2]}"
        context.add_cookies([{"name": cookie, "value": sessions.begin(ODD[:100], Role.ADMIN), "url": address}])
        yield Watch(context.new_page(), address)


def is_page(watch):
    return watch.page.evaluate("document.contentType") == "text/html"


def test_every_page_is_whole_light_and_ours_alone(watch, paths):
    for path in paths:
        status = watch.open(path)
        assert status in {200, 404, 422}, (path, status)
        if is_page(watch):
            faults = [said for said in watch.said if "status of 404" not in said and "status of 422" not in said]
            assert (watch.others, faults) == ([], []), path
            assert watch.weight < MAX_WEIGHT, path
            assert watch.page.title()
            assert watch.page.locator("h1").count() == 1, path
            assert watch.page.locator("script:not([src]), [style], style").count() == 0, path


def test_axe_finds_no_serious_fault_on_any_page(watch, paths):
    for path in paths:
        watch.open(path)
        if is_page(watch):
            assert serious_faults(watch.page) == [], path


def test_no_page_is_wider_than_a_phone(watch, paths):
    watch.page.set_viewport_size({"width": 390, "height": 800})
    for path in paths:
        watch.open(path)
        if is_page(watch):
            assert overflow(watch.page) <= 0, path
    watch.page.set_viewport_size({"width": 1280, "height": 800})


def test_the_keyboard_reaches_the_content_and_the_navigation(watch):
    watch.open("/health")
    watch.page.keyboard.press("Tab")
    assert watch.page.evaluate("document.activeElement.className") == "skip"
    watch.page.keyboard.press("Enter")
    assert watch.page.evaluate("document.activeElement.id") == "content"

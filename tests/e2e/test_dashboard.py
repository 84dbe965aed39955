"""The three users' jobs on the dashboard, in a real browser: a run from its form to its approval, every operation, a new object.

Pictures of the pages are kept in the folder that the variable SCREENSHOTS names, else in build/screenshots.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from model.demo.catalogue import draw_catalogue
from model.files import read_json
from model.home import Home
from tests.support.browser import browsing
from tests.support.commands import command, glocal

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.slow]

NAME = "drawn"
PICTURES = Path(os.environ.get("SCREENSHOTS") or Path(__file__).parents[2] / "build" / "screenshots")
SETTINGS = {
    "model.image_size": "64",
    "train.epochs": "1",
    "evaluate.samples": "100",
    "gate.min_gain_over_untrained": "-1",  # so few images teach nothing
    "gate.max_regression": "1",
    "gate.max_group_regression": "1",
}
RUN_MS, CHANGE_MS = 300_000, 120_000


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "catalogue"
    draw_catalogue(folder, products=8, views=4, scenes=1, size=96, seed=3)
    return folder


@pytest.fixture(scope="module")
def page(home):
    """A browser that has opened the link that `glocal dashboard start` printed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GLOCAL_DASHBOARD_PORT", "0")
        code, out, error = glocal(home, command("dashboard", "start"))
    assert code == 0, error
    try:
        with browsing(viewport={"width": 1280, "height": 860}) as context:
            shown = context.new_page()
            shown.goto(re.search(r"http\S+", out)[0])
            assert shown.url.endswith("/runs")
            yield shown
    finally:
        glocal(home, command("dashboard", "stop"))
        glocal(home, command("runs", "stop"))


@pytest.fixture
def keep(page):
    PICTURES.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=str(PICTURES / f"{name}.png"))


def start_run(page, source, settings):
    """Fill the form, send it by a double click, and watch the run to its end."""
    page.goto(address(page, "/runs/new"))
    page.fill("#source", str(source))
    page.fill("#name", NAME)
    page.fill("#why", "from the form")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for name, value in settings.items():
        field = page.locator(f'[name$="{name}"]')
        if field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Start the run").dblclick()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}$"), timeout=RUN_MS)


def await_state(page, state):
    shown = page.locator("#top .state")
    expect(shown).not_to_contain_text(re.compile("running|queued"), timeout=RUN_MS)
    expect(shown).to_contain_text(state)


def address(page, path):
    return "/".join(page.url.split("/")[:3]) + path


def change(page, path, button, reason):
    """Ask for a change of what serves, type its confirmation, and wait for its end."""
    page.goto(address(page, path))
    page.fill('[name="why"]', reason)
    page.fill('[name="confirm"]', page.locator("label:has([name=confirm]) code").inner_text())
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#job .state").first).to_contain_text("succeeded", timeout=CHANGE_MS)


def serves(home):
    return read_json(Home.at(home).serve.deployed)[NAME]["version"]


def test_a_run_is_started_from_the_form_and_watched_to_its_end(page, home, source, keep):
    start_run(page, source, SETTINGS)
    keep("run-under-way")
    await_state(page, "succeeded")
    keep("run")
    page.goto(address(page, "/runs"))
    assert page.locator("table.runs tbody tr").count() == 1  # one run, though the button was clicked twice
    assert serves(home) == "1"


def test_its_report_opens(page):
    page.goto(address(page, "/runs"))
    page.locator("table.runs tbody tr a").first.click()
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.locator("h1")).to_contain_text(NAME)
    assert "Decision of the gate" in page.content()
    page.go_back()


def test_a_second_run_awaits_approval_and_serves_once_it_is_approved(page, home, source, keep):
    start_run(page, source, SETTINGS | {"model.image_size": "96", "gate.approval": "required", "gate.own_approval": "true"})
    await_state(page, "awaiting")
    assert serves(home) == "1"
    page.goto(address(page, "/models"))
    keep("models")
    change(page, f"/models/{NAME}/2/approve", "Approve", "finer images")
    assert serves(home) == "2"
    page.goto(address(page, f"/models/{NAME}/2"))
    keep("version")


def test_every_operation_is_tried_with_an_image(page, source, keep):
    image, other = sorted(source.glob("images/*/00.jpg"))[:2]
    scene = min(source.glob("scenes/*.jpg"))
    for operation, files in {
        "embed": [image],
        "identify": [image],
        "verify": [image, other],
        "detect": [scene],
        "search": [image],
    }.items():
        page.goto(address(page, "/try"))
        page.check(f'input[name="operation"][value="{operation}"]', force=True)
        page.set_input_files("#images", [str(file) for file in files])
        page.get_by_role("button", name="Ask", exact=True).click()
        answer = page.locator("#answer .answer")
        expect(answer).to_be_visible(timeout=60_000)
        assert "version 2" in answer.first.inner_text().lower() or operation == "embed"
        keep(f"try-{operation}")


def test_a_new_object_is_enrolled_and_found(page, home, tmp_path, keep):
    squares = Image.fromarray(np.uint8(255 * (np.indices((9, 9)).sum(axis=0) % 2))).resize((108, 108), Image.Resampling.NEAREST)
    images = [tmp_path / f"{shift}.png" for shift in range(4)]  # a chessboard, framed a little differently: no packaging
    for shift, file in enumerate(images):
        squares.crop((2 * shift, shift, 96 + 2 * shift, 96 + shift)).convert("RGB").save(file)
    page.goto(address(page, "/try/enrol"))
    page.fill('[name="label"]', "a new thing")
    page.set_input_files("#images", [str(file) for file in images[:3]])
    page.get_by_role("button", name="Enrol", exact=True).click()
    expect(page.locator("#job .state").first).to_contain_text("succeeded", timeout=RUN_MS)
    keep("enrolled")
    assert serves(home) == "3"
    page.goto(address(page, "/try"))
    page.set_input_files("#images", str(images[3]))
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer .answer").first).to_contain_text("a new thing", timeout=60_000)


def test_the_version_before_is_brought_back_and_the_history_says_so(page, home, keep):
    change(page, f"/models/{NAME}/rollback", "Roll back", "it misses the oats")
    assert serves(home) == "2"
    page.goto(address(page, "/history"))
    expect(page.locator("main")).to_contain_text("it misses the oats")
    keep("history")
    page.goto(address(page, f"/data/{NAME}"))
    keep("data")
    page.goto(address(page, "/health"))
    keep("health")

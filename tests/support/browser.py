"""A real Chromium, where there is one, and what is checked of every page in it."""

import os
import shutil
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--use-fake-device-for-media-stream"]
"""With a camera of Chromium's own, which shows a drawn moving picture."""
MAX_WEIGHT = 400_000
"""Maximum bytes of a page with its styles and scripts, without images."""


def chromium():
    """Path of Chromium: in the variable CHROMIUM, else on the PATH. The test is skipped where there is none."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        pytest.skip("There is no Chromium: install the package chromium, or set CHROMIUM.")
    return found


@contextmanager
def launched():
    """A new Chromium, as playwright has it."""
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browsing(**settings):
    """A context of a new Chromium, as `Browser.new_context` has it."""
    with launched() as browser:
        context = browser.new_context(**settings)
        context.set_default_timeout(30_000)
        yield context


class Watch:
    """What a page asked for and said.

    Args:
        page: A page of playwright.
        address: Address of the dashboard.
    """

    def __init__(self, page, address):
        self.page, self.address, self.others, self.said, self.weight = page, address, [], [], 0
        page.on("request", self._asked)
        page.on("response", self._answered)
        page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, path):
        """Load a page anew; returns the status of the answer."""
        self.others, self.said, self.weight = [], [], 0
        answer = self.page.goto(self.address + path, wait_until="load")
        return answer.status

    def _asked(self, request):
        if urlsplit(request.url).netloc not in {urlsplit(self.address).netloc, ""}:
            self.others.append(request.url)

    def _answered(self, response):
        if response.request.resource_type not in {"image", "eventsource", "fetch"} and response.status < 300:
            self.weight += len(response.body())


def serious_faults(page):
    """What axe finds of serious or critical faults on a page, a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:3]
    ]


def overflow(page):
    """Pixels by which a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

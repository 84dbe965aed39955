"""Addresses that nobody's page has: each of them is answered, and none finds a fault of the dashboard's."""

import re

import pytest

from model.environment import Environment
from model.home import Home
from tests.support.dashboard import Browser, addresses
from tests.support.lineage import NAME, pin_drawn

HOSTILE = ("..%2f..%2fetc", "a%00b", "%0d%0a%3Cscript%3E", "%ed%a0%80", "a" * 4000, f"{NAME}@%00")
"""What stands in place of a name."""
NUMBERS = ("-1", "9" * 30, "1e308", "%00", "0001-01-01", "9999-12-31T23:59:59", "a" * 4000)
"""What stands in place of a number, a time or a text after the question mark."""
ASKED = (
    "page",
    "token",
    "from",
    "to",
    "after",
    "offset",
    "limit",
    "state",
    "data",
    "folder",
    "by",
    "with",
    "side",
    "id",
    "settings",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    home = Home.at(root / "home")
    pin_drawn(home, root)
    return Browser(Environment(home=home))


def pages(browser):
    """The addresses of pages and of the API that are looked at."""
    return sorted({path for path, method in addresses(browser.app) if method == "GET" and not path.startswith("/static")})


def ask(browser, address):
    answer = browser.get(address)
    assert answer.status_code < 500 or "fault of the dashboard" not in answer.text, address


def named(path, hostile="", place=""):
    """An address with a name in each of its places, and a hostile one in one of them."""
    return re.sub(r"{(\w+)(?::path)?}", lambda part: hostile if part[1] == place else NAME, path)


def test_no_name_in_an_address_finds_a_fault(browser):
    for path in pages(browser):
        for place in re.findall(r"{(\w+)(?::path)?}", path):
            for hostile in HOSTILE:
                ask(browser, named(path, hostile, place))


def test_no_value_after_the_question_mark_finds_a_fault(browser):
    for path in pages(browser):
        for value in NUMBERS:
            ask(browser, f"{named(path)}?{'&'.join(f'{name}={value}' for name in ASKED)}")

"""The page of the history, and the places of its timeline."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.security.people import Role
from dashboard.views.history.timeline import Window, default_window, lanes, ticks
from model.environment import Environment
from model.home import Home
from model.schemas.promotion import Promotion
from serving.history import services
from tests.support.dashboard import Browser, text
from tests.support.versions import add_promotions, add_versions

START = datetime(2026, 11, 1, tzinfo=UTC)
FIELDS = {"by": "ann", "why": "", "before": "", "release": ""}


def entry(hour, version, outcome="promoted", model="birds"):
    at = round(1000 * (START + timedelta(hours=hour)).timestamp())
    return Promotion(id=f"{hour}", model=model, when=at, ended=at, version=version, outcome=outcome, **FIELDS)


HISTORY = [entry(10, "1"), entry(20, "2", "failed"), entry(30, "3"), entry(35, "7", model="cards")]
DAY = Window(START, START + timedelta(hours=40))


def test_a_version_serves_until_the_next_one_is_promoted():
    found = services(HISTORY)
    assert [(span.version, span.ended) for span in found["birds"]] == [("1", found["birds"][1].begun), ("3", None)]
    assert list(found) == ["birds", "cards"]


def test_bars_and_marks_lie_where_their_times_are():
    birds, cards = lanes(HISTORY, services(HISTORY), DAY, START + timedelta(hours=40))
    assert [(bar.service.version, bar.x, bar.width, bar.last) for bar in birds.bars] == [
        ("1", 25, 50, False),
        ("3", 75, 25, True),
    ]
    assert [(mark.entry.version, mark.x) for mark in birds.marks] == [("2", 50)]
    assert [(bar.x, bar.width) for bar in cards.bars] == [(87.5, 12.5)]


def test_what_lies_outside_the_window_is_cut_off():
    window = Window(START + timedelta(hours=15), START + timedelta(hours=25))
    birds, cards = lanes(HISTORY, services(HISTORY), window, START + timedelta(hours=40))
    assert [(bar.service.version, bar.x, bar.width) for bar in birds.bars] == [("1", 0, 100)]
    assert cards.bars == ()


def test_a_window_is_zoomed_about_its_middle_and_moved():
    assert DAY.scaled(0.5) == Window(START + timedelta(hours=10), START + timedelta(hours=30))
    assert DAY.moved(0.5).start == START + timedelta(hours=20)
    assert Window(START, START + timedelta(seconds=10)).scaled(0.1).length == timedelta(seconds=10)
    assert DAY.query == "from=2026-11-01T00:00:00&to=2026-11-02T16:00:00"


def test_the_axis_has_round_times():
    assert [(tick.x, tick.text) for tick in ticks(DAY)][:3] == [(0, "1 Nov"), (15, "06:00"), (30, "12:00")]
    for days in (0.0002, 0.01, 1, 30, 400, 9000):
        assert 0 < len(ticks(Window(START, START + timedelta(days=days)))) <= 9


def test_all_of_the_history_lies_in_the_default_window():
    now = START + timedelta(hours=50)
    window = default_window(HISTORY, now)
    assert window.start < START + timedelta(hours=10)
    assert window.stop > now
    assert default_window([], now).length > timedelta(hours=23)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    home = Home.at(tmp_path_factory.mktemp("history") / "home")
    add_versions(home, "birds", 3)
    add_promotions(home, "birds", ["1", "2"])
    add_promotions(home, "cards", ["1"], by="\u202eeve <b>")
    return Browser(Environment(home=home), Role.VIEWER)


def test_the_page_shows_each_entry_with_who_and_why(browser):
    page = browser.get("/history").text
    assert "4 entries" not in page
    assert "3 entries" in page
    assert "version 2 is better" in page
    assert "&lt;b&gt;" in page
    assert "\u202e" not in page
    assert page.count('class="bar ') == 3


def test_one_model_is_shown_alone(browser):
    page = browser.get("/history?model=birds").text
    assert "2 entries" in page
    assert "eve" not in page


def test_what_served_at_a_moment_is_listed(browser):
    now = datetime.now(UTC)
    assert "birds version 2 served, since" in text(browser.get("/history", params={"at": now.isoformat()}))
    assert "Nothing served then." in browser.get("/history?at=2020-01-01 00:00").text


@pytest.mark.parametrize("asked", ["at=yesterday", "from=x", "to=0001-01-01", "from=9999-12-31", "from=2026-01-02&to=2026-01-01"])
def test_a_time_that_is_none_is_a_mistake_of_the_form(browser, asked):
    answer = browser.get(f"/history?{asked}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_links_zoom_without_scripts(browser):
    page = browser.get("/history?from=2020-01-01&to=2020-01-03").text
    assert "No entry lies in this time" in page
    closer = re.search(r'href="([^"]+)" aria-label="Zoom in"', page)[1].replace("&amp;", "&")
    assert closer == "/history?from=2020-01-01T12:00:00&to=2020-01-02T12:00:00"
    assert browser.get(closer).status_code == 200


def test_a_changed_history_is_told_when_it_is_asked_for(tmp_path):
    home = Home.at(tmp_path / "home")
    add_promotions(home, "birds", ["1"])
    browser = Browser(Environment(home=home), Role.VIEWER)
    assert "The history is intact" in browser.get("/history/integrity").text
    home.ledger.write_text(home.ledger.read_text().replace("is better", "is worse"))
    assert "The history was changed" in browser.get("/history/integrity").text

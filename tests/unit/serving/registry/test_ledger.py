"""The ledger over real MLflow: its entries and the lines of its file."""

import time

import pytest

from model.home import Home
from serving.history import history_faults
from serving.registry.ledger import Ledger, read_ledger

HOUR_S = 3600
WORD = {"by": "eve", "why": "look", "version": "2", "release_id": "r", "evidence": "e"}
ATTEMPT = {"by": "ann", "why": "better", "before": "1", "version": "2", "release_id": "r"}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def ledger(home):
    return Ledger(home.tracking_uri, "demo", home.ledger)


def test_a_promotion_is_an_entry_and_two_lines(home, ledger):
    ledger.close(ledger.begin(**ATTEMPT), "promoted")
    (entry,) = read_ledger(home.tracking_uri)
    assert (entry.outcome, entry.kept) == ("promoted", True)
    assert ledger.file.entries() == {entry.id: entry}
    assert history_faults(home, home.tracking_uri) == []


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock of this process ahead by some seconds, or back."""
    right = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: right() + seconds)


@pytest.mark.parametrize("first", ["approved", "refused"])
def test_the_last_word_of_an_operator_is_the_last_that_was_said_also_where_the_clock_was_set_back(home, ledger, clock, first):
    last = {"approved": "refused", "refused": "approved"}[first]
    clock(HOUR_S)
    ledger.note(first, **WORD)
    clock(0)
    ledger.note(last, **WORD)
    said = ledger.words("2")
    assert [word.outcome for word in said] == [first, last]
    assert said[0].when - said[1].when > 0.9 * 1000 * HOUR_S  # each keeps the time that the clock showed
    assert history_faults(home, home.tracking_uri) == []


def test_the_last_attempt_of_a_version_is_the_last_that_was_made_also_where_the_clock_was_set_back(home, ledger, clock):
    clock(HOUR_S)
    ledger.close(ledger.begin(**ATTEMPT), "failed")
    ledger.close(ledger.begin(**ATTEMPT | {"version": "3"}), "promoted")
    clock(-HOUR_S)
    ledger.close(ledger.begin(**ATTEMPT), "promoted")
    assert list(ledger.outcomes("").items()) == [("2", "promoted"), ("3", "promoted")]
    assert history_faults(home, home.tracking_uri) == []


def test_a_promotion_that_was_killed_before_its_first_line_is_no_change_of_the_history(home, ledger):
    home.ledger.mkdir()  # where no line can be written
    with pytest.raises(IsADirectoryError):
        ledger.begin(**ATTEMPT)
    home.ledger.rmdir()
    assert history_faults(home, home.tracking_uri) == []
    (begun,) = ledger.unfinished()
    ledger.close(begun.id, "killed")
    assert history_faults(home, home.tracking_uri) == []
    home.ledger.unlink()
    (fault,) = history_faults(home, home.tracking_uri)
    assert fault == f"The promotion of demo 1 to 2 ({begun.id}) is in MLflow and not in ledger.jsonl."

"""The ledger over real MLflow: its entries and the lines of its file."""

import pytest

from model.home import Home
from serving.history import history_faults
from serving.registry.ledger import Ledger, read_ledger

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

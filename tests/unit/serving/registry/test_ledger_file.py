import json

import pytest

from model.errors import InvalidInput
from model.schemas.promotion import Promotion
from serving.registry.ledger_file import LedgerFile


def entry(identity, outcome="promoted", **changed):
    fields = {"model": "demo", "by": "ann", "why": "better", "before": "1", "version": "2", "release": "r", "place": "p"}
    return Promotion(id=identity, outcome=outcome, when=1, **fields | changed)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(file):
    """A ledger with one promotion that was begun and ended, one that failed, and one that is under way."""
    ledger = LedgerFile(file)
    for each in (entry("a", "begun"), entry("a"), entry("b", "failed", why="it did not verify"), entry("c", "begun")):
        ledger.append(each)
    return ledger


RECORDED = [entry("a"), entry("b", "failed", why="it did not verify"), entry("c", "begun")]


def test_an_untouched_ledger_has_no_faults(ledger):
    assert ledger.faults(RECORDED) == []
    assert {key: each.outcome for key, each in ledger.entries().items()} == {"a": "promoted", "b": "failed", "c": "begun"}


def test_every_changed_byte_is_named(ledger, file):
    content = file.read_bytes()
    for at in range(0, len(content) - 1, 7):
        for byte in (content[at] ^ 1, 0):
            file.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
            assert ledger.faults(RECORDED), content[max(0, at - 20) : at + 20]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_that_was_removed_from_the_middle_or_moved_is_named(ledger, file, number):
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:number] + lines[number + 1 :]))
    assert any("does not follow the line before it" in fault for fault in ledger.faults(RECORDED))
    file.write_text("".join(lines[:number] + lines[number + 1 :] + [lines[number]]))
    assert any("does not follow" in fault for fault in ledger.faults(RECORDED))


def test_lines_cut_off_at_the_end_are_missed_by_their_entries_in_mlflow(ledger, file):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    assert ledger.faults(RECORDED) == [
        "The promotion of demo 1 to 2 (b) is in MLflow and not in ledger.jsonl.",
        "The promotion of demo 1 to 2 (c) is in MLflow and not in ledger.jsonl.",
    ]


@pytest.mark.parametrize(
    "changed", [{"by": "eve"}, {"why": "no reason"}, {"version": "3"}, {"before": "9"}, {"release": "x"}, {"outcome": "failed"}]
)
def test_an_entry_that_was_edited_in_mlflow_is_named_with_what_was_changed(ledger, changed):
    edited = entry("a").model_copy(update=changed)
    (fault,) = ledger.faults([edited, *RECORDED[1:]])
    assert fault.endswith(f"(a) was changed in MLflow: {next(iter(changed))}.")


def test_an_entry_that_was_deleted_in_mlflow_is_named(ledger):
    assert ledger.faults(RECORDED[1:]) == ["The promotion of demo 1 to 2 (a) was removed from MLflow."]


def test_entries_of_earlier_revisions_are_in_mlflow_alone(ledger):
    assert ledger.faults([*RECORDED, entry("old", kept=False)]) == []


def test_a_line_that_is_ahead_of_mlflow_is_no_fault(ledger):
    ledger.append(entry("c"))
    assert ledger.faults(RECORDED) == []


def test_what_is_begun_or_ends_while_mlflow_is_read_is_no_fault(ledger):
    def recorded():
        yield from RECORDED
        ledger.append(entry("c"))
        ledger.append(entry("d", "begun"))

    assert ledger.faults(recorded()) == []


def test_a_line_cut_short_by_a_kill_is_replaced_by_the_next(ledger, file):
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"number": 5, "prev')
    ledger.append(entry("c"))
    assert file.read_bytes().startswith(whole)
    assert json.loads(file.read_bytes().splitlines()[-1])["number"] == 5
    assert ledger.faults([*RECORDED[:2], entry("c")]) == []


def test_nothing_is_added_after_a_line_that_cannot_be_read(ledger, file):
    content = file.read_bytes()
    file.write_bytes(content[:-10] + b"\n")
    with pytest.raises(InvalidInput, match=r"Line 4 of ledger\.jsonl cannot be read"):
        ledger.append(entry("d"))
    assert file.read_bytes() == content[:-10] + b"\n"

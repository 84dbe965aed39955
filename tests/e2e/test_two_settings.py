"""Two runs on different settings, the second approved by an operator; rolled back, promoted again, and looked up afterwards."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from model.demo.catalogue import draw_catalogue
from model.home import Home
from serving.registry.models import Registry
from serving.registry.stored import release_in
from tests.support.commands import command, glocal, last_line, run_command
from tests.support.polling import Polling

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.long]

NAME = "drawn"
SETTINGS = {
    "model.image_size": 64,
    "train.epochs": 1,
    "evaluate.samples": 100,
    "gate.min_gain_over_untrained": -1,  # so few images teach nothing
    "gate.max_regression": 1,
    "gate.max_group_regression": 1,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "catalogue"
    draw_catalogue(folder, products=8, views=4, scenes=1, size=96, seed=3)
    return folder


def told(home, *words):
    """What a command that succeeds answers as JSON, and what it said."""
    code, out, error = glocal(home, [*words, "--json"] if "--json" not in words else list(words))
    assert code == 0, error
    return last_line(out), error


@pytest.fixture(scope="module")
def waiting(home, source):
    """The second run, which ended awaiting approval; before it, the run whose version serves."""
    first, _ = told(home, *run_command(source, NAME, SETTINGS))
    assert (first["status"], first["model_version"], first["alias"]) == ("succeeded", "1", "champion")
    return told(home, *run_command(source, NAME, SETTINGS | {"model.image_size": 96, "gate.approval": "required"}))


@pytest.fixture(scope="module")
def seen(home, source, waiting):
    """Approved, rolled back and promoted again, while a client asks: what it saw, and when the approval was given."""
    place, image = Home.at(home), min(source.glob("images/*/00.jpg")).read_bytes()
    with pytest.MonkeyPatch.context() as patched, Polling(place, NAME, image) as client:
        patched.setenv("GLOCAL_USER", "eve")
        told(home, *command("approve", "2", "--why", "finer images", "--yes"))
        patched.setenv("GLOCAL_USER", "bob")
        told(home, *command("rollback", "--why", "it misses the oats", "--yes"))
        patched.setenv("GLOCAL_USER", "eve")
        told(home, *command("promote", "2", "--why", "the oats are found", "--yes"))
    return client


def test_a_run_that_needs_an_approval_ends_waiting_and_what_served_serves_on(home, waiting):
    body, error = waiting
    assert (body["status"], body["model_version"], body["alias"]) == ("awaiting", "2", "challenger")
    assert "awaiting approval" in error
    assert "glocal approve 2" in error
    assert "smoke-test" not in [step["name"] for step in body["steps"] if step["seconds"] and body["address"]]
    assert Registry(Home.at(home).tracking_uri, NAME).alias("champion") == "1"
    code, _, error = glocal(home, command("promote", "2", "--why", "now", "--yes"))
    assert (code, "needs the approval of 1" in error) == (4, True)


def test_the_history_has_the_exact_sequence_with_who_when_and_why(home, seen):
    history = told(home, *command("history", "--verify"))[0]
    assert history["intact"] is True
    entries = [each for each in history["history"] if each["outcome"] != "begun"]
    assert [(each["before"], each["version"], each["outcome"], each["why"]) for each in entries] == [
        ("", "1", "promoted", "a training run"),
        ("", "2", "approved", "finer images"),
        ("1", "2", "promoted", "finer images (approved by eve)"),
        ("2", "1", "promoted", "it misses the oats"),
        ("1", "2", "promoted", "the oats are found"),
    ]
    assert [each["by"] for each in entries[1:]] == ["eve", "eve", "bob", "eve"]
    moments = [each["ended"] for each in entries]
    assert all(earlier < later for earlier, later in pairwise(moments))


def test_at_each_moment_the_history_names_what_the_endpoint_answered_with_and_no_request_failed(home, seen):
    assert seen.failed == []
    assert len({release for *_, release in seen.seen}) == 2
    entries = [each for each in told(home, *command("history"))[0]["history"] if each["outcome"] == "promoted"]
    ends = [*(each["ended"] / 1000 for each in entries[1:]), seen.seen[-1][1]]
    for entry, end in zip(entries[1:], ends[1:], strict=True):
        began = entry["ended"] / 1000
        assert seen.versions(after=began + 0.2, before=end - 0.2) == {entry["version"]}
        moment = datetime.fromtimestamp((began + end) / 2, UTC).isoformat()
        (served,) = told(home, *command("history", NAME, "--at", moment))[0]["history"]
        assert (served["version"], served["by"], served["why"]) == (entry["version"], entry["by"], entry["why"])


@pytest.mark.parametrize("changed", ["the ledger", "a release"])
def test_a_byte_that_was_changed_is_named_and_nothing_is_promoted(home, seen, changed):
    place = Home.at(home)
    if changed == "the ledger":
        file, named = place.ledger, "ledger.jsonl was changed"
    else:
        file = release_in(Registry(place.tracking_uri, NAME).files.folder("1")) / "calibration.json"
        named = "calibration.json"
    content = file.read_bytes()
    at = content.index(b"oats") if changed == "the ledger" else len(content) // 2
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    try:
        code, _, error = glocal(home, command("history", "--verify"))
        assert (code, named in error) == (2, True), error
        code, _, error = glocal(home, command("promote", "1", "--why", "back", "--yes"))
        assert (code, named in error) == (2, True), error
    finally:
        file.write_bytes(content)
    assert told(home, *command("history", "--verify"))[0]["intact"] is True
    assert told(home, *command("history", NAME, "--at", datetime.now(UTC).isoformat()))[0]["history"][0]["version"] == "2"

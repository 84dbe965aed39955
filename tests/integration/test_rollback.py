"""`glocal promote` and `glocal rollback` with a real registry and endpoint, and a client that asks all the while."""

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from model.environment import Environment
from model.errors import Conflict
from pipelines.running import RunSpec, run_pipeline
from serving import server
from serving.archive import remove_archive
from serving.history import read_history
from serving.planning import plan_promotion
from serving.reconcile import start_server
from serving.rollout.ahead import previous_ahead
from serving.rollout.restoring import tidy
from tests.support.commands import begin, command, glocal, last_line
from tests.support.polling import Polling
from tests.support.promotions import answers, assert_one_truth, make_release_of, register, said, to
from tests.support.releases import draw_image, make_release

pytestmark = pytest.mark.integration

NAME = "drawn"


def told(home, *words):
    """What a command that succeeds answers as JSON."""
    code, out, error = glocal(home.root, command(*words, "--json"))
    assert code == 0, error
    return last_line(out)


def test_promoted_rolled_back_and_promoted_again_without_a_failed_request(home, registry, releases, first):
    before = len(told(home, "history")["history"])
    with Polling(home, NAME, draw_image(1)) as client:
        told(home, "promote", "2", "--why", "more birds", "--yes")
        told(home, "rollback", "--why", "it missed the oats", "--yes")
        told(home, "promote", "2", "--why", "the oats are right", "--yes")
    assert client.failed == []
    history = told(home, "history", "--verify")
    assert history["intact"] is True
    changes = [(each["before"], each["version"], each["outcome"], each["why"]) for each in history["history"][before:]]
    assert changes == [
        ("1", "2", "promoted", "more birds"),
        ("2", "1", "promoted", "it missed the oats"),
        ("1", "2", "promoted", "the oats are right"),
    ]
    assert {(version, release) for *_, version, release in client.seen} == {("1", releases[0].id), ("2", releases[1].id)}
    switches = [each["ended"] / 1000 for each in history["history"][before:]]
    for switch, (old, new) in zip(switches, [("1", "2"), ("2", "1"), ("1", "2")], strict=True):
        assert client.versions(after=switch - 1, before=switch - 0.1) <= {old}
        assert client.versions(after=switch + 0.1, before=switch + 1) <= {new}
    for switch, version in zip(switches, ("2", "1", "2"), strict=True):
        moment = datetime.fromtimestamp(switch, UTC).isoformat()
        assert [each["version"] for each in told(home, "history", NAME, "--at", moment)["history"]] == [version]
    assert_one_truth(home, NAME, "2", releases[1])


def held(home):
    """The versions that the server has loaded."""
    return {each.version for each in server.status(home).models[NAME].versions}


def test_the_version_before_is_loaded_ahead_and_unloaded_if_it_does_not_come_to_serve(home, registry, releases, first):
    to(home, "2", NAME)
    with previous_ahead(home, "") as endpoint:
        assert (endpoint.begun.name, endpoint.begun.entry.version) == (NAME, "1")
        assert held(home) == {"1", "2"}
        assert tidy(endpoint) == []  # what is loaded ahead is no stray
    assert held(home) == {"2"}
    assert_one_truth(home, NAME, "2", releases[1])


def test_another_rollback_meanwhile_loads_nothing_ahead_and_waits(home, registry, releases, first):
    to(home, "2", NAME)
    with previous_ahead(home, NAME) as endpoint, previous_ahead(home, NAME) as other:
        assert endpoint is not None
        assert other is None


def test_what_a_killed_rollback_had_loaded_ahead_is_removed(home, registry, releases, first):
    to(home, "2", NAME)
    code = """
import os, sys
from model.home import Home
from serving.rollout.ahead import previous_ahead
with previous_ahead(Home.at(sys.argv[1]), ""):
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(home.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert held(home) == {"1", "2"}
    assert "version 1, which is not on record" in said(start_server(home, home.tracking_uri).differences)
    assert_one_truth(home, NAME, "2", releases[1])


def test_what_was_loaded_ahead_from_another_archive_does_not_come_to_serve(home, registry, releases, first):
    to(home, "2", NAME)
    with previous_ahead(home, NAME) as endpoint:
        workers = [each for each in server.status(home).models[NAME].versions if each.version == "1"]
        remove_archive(home.serve.store / f"{NAME}-1.mar")
        begun = replace(endpoint.begun, entry=endpoint.begun.entry.model_copy(update={"sha256": "0" * 64}))
        to(home, "1", NAME, locked=replace(endpoint, begun=begun))
        now = [each for each in server.status(home).models[NAME].versions if each.version == "1"]
        assert {worker.pid for each in workers for worker in each.workers}.isdisjoint(
            worker.pid for each in now for worker in each.workers
        )
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_dry_run_shows_what_would_change_and_changes_nothing(home, registry, releases, first):
    entries = told(home, "history")
    code, out, error = glocal(home.root, command("promote", "2", "--why", "look", "--dry-run", "--json"))
    assert code == 0
    plan = last_line(out)["plan"]
    assert (plan["serving"]["version"], plan["wanted"]["version"], plan["same_space"]) == ("1", "2", False)
    assert set(plan["figures"]["map_at_r"]) == {"before", "after"}
    assert "embedding space" in error
    assert told(home, "history") == entries
    assert answers(home, NAME) == ("1", releases[0].id)


def test_a_version_of_another_data_set_replaces_the_champion_only_if_that_is_said(home, registry, releases, first, tmp_path):
    other = make_release_of("cups", tmp_path, seed=5)
    version = register(other, home, tmp_path / "report", name=NAME, replace_other_data=True).version
    code, _, error = glocal(home.root, command("promote", version, "--why", "cups", "--yes"))
    assert code == 4
    assert "drawn@0000000 -> cups@0000000 (another data set)" in error
    assert "--replace-other-data for glocal promote" in error
    assert answers(home, NAME) == ("1", releases[0].id)
    told(home, "promote", version, "--why", "cups", "--yes", "--replace-other-data")
    assert answers(home, NAME) == (version, other.id)
    told(home, "rollback", "--why", "it was drawn", "--yes")
    assert answers(home, NAME) == ("1", releases[0].id)


def test_without_anybody_to_say_yes_nothing_changes(home, registry, releases, first):
    code, _, error = glocal(home.root, command("promote", "2", "--why", "better"))
    assert code == 2
    assert "Add --yes" in error
    code, _, error = glocal(home.root, command("promote", "2", "--why", " ", "--yes"))
    assert code == 2
    assert "needs a reason" in error
    assert answers(home, NAME) == ("1", releases[0].id)


def test_what_was_compared_with_another_champion_is_not_promoted(home, registry, releases, first):
    plan = plan_promotion(home.tracking_uri, NAME, "2")
    to(home, "2", NAME)
    with pytest.raises(Conflict, match="Version 1 of drawn was champion, and version 2 is now"):
        to(home, "3", NAME, instead_of=plan.serving.version)
    assert answers(home, NAME) == ("2", releases[1].id)


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(home, registry, releases, first, tmp_path):
    other = register(make_release(tmp_path / "release", seed=11), home, tmp_path / "report").version
    wanted, before = ("2", other), len(told(home, "history")["history"])
    with Polling(home, NAME, draw_image(1)) as client:
        both = [begin(home.root, command("promote", each, "--why", each, "--yes"), stderr=subprocess.PIPE) for each in wanted]
        said = [process.communicate(timeout=240)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 4], said
    won, lost = wanted[codes.index(0)], codes.index(4)
    assert f"Version 1 of {NAME} was champion, and version {won} is now." in said[lost]
    assert client.failed == []
    assert (registry.alias("champion"), registry.alias("previous"), answers(home, NAME)[0]) == (won, "1", won)
    entries = told(home, "history", "--verify")
    assert entries["intact"] is True
    assert [(each["version"], each["outcome"]) for each in entries["history"][before:]] == [(won, "promoted")]
    assert {each.version for each in server.status(home).models[NAME].versions} == {won}


def test_a_ledger_that_was_changed_stops_every_promotion_until_it_is_put_back(home, registry, releases, first):
    content = home.ledger.read_bytes()
    at = content.rfind(b'"by":"ann"')
    home.ledger.write_bytes(content[:at] + b'"by":"eve"' + content[at + 10 :])
    try:
        code, _, error = glocal(home.root, command("promote", "2", "--why", "better", "--yes"))
        assert code == 2
        assert "ledger.jsonl was changed" in error
        assert answers(home, NAME) == ("1", releases[0].id)
    finally:
        home.ledger.write_bytes(content)
    told(home, "promote", "2", "--why", "better", "--yes")
    assert answers(home, NAME) == ("2", releases[1].id)


def test_a_promotion_is_a_pipeline_as_well(home, registry, releases, first):
    registry.set_alias("2", "challenger")
    spec = RunSpec("promotion", {"why": "from a page"}, title="promotion", params={}, command="a page", why="from a page")
    done = run_pipeline(spec, environment=Environment(home=home), listener=lambda event: None)
    assert (done.status, done.model_version, [step.name for step in done.steps]) == ("succeeded", "2", ["promote", "record"])
    assert answers(home, NAME) == ("2", releases[1].id)
    assert read_history(home.tracking_uri, name=NAME)[-1].why == "from a page"
    rollback = replace(spec, arguments={"model": NAME, "version": "previous", "why": "back"})
    assert run_pipeline(rollback, environment=Environment(home=home), listener=lambda event: None).model_version == "1"
    assert answers(home, NAME) == ("1", releases[0].id)

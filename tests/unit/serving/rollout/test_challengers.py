"""The record of the challengers."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from model.home import Home
from model.schemas.challenge import Challenge
from serving.rollout.challengers import DeployedChallenger, on_record, read_challengers, write_challenger
from serving.rollout.deployed import Deployed, write_deployed
from serving.rollout.leftovers import clear_store, discard_archive


def named(version):
    found = {"version": version, "archive": f"m-{version}.mar", "sha256": "0", "release": "r", "embedding_space_id": "s"}
    return {**found, "workers": 1}


def entry(version):
    return DeployedChallenger(
        **named(version), challenge=Challenge(mode="canary", share=0.05, started=datetime(2026, 1, 1, tzinfo=UTC))
    )


@pytest.fixture
def folder(tmp_path):
    return Home(tmp_path).serve


def test_what_is_written_is_read_back_and_what_is_forgotten_is_gone(folder):
    assert read_challengers(folder.challengers) == {}
    write_challenger(folder.challengers, "one", entry("1"))
    write_challenger(folder.challengers, "two", entry("2"))
    write_challenger(folder.challengers, "one", None)
    assert read_challengers(folder.challengers) == {"two": entry("2")}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"m": {"version": "1"}}', "\udcff"])
def test_a_damaged_record_is_no_challenge_and_is_written_anew(folder, text, caplog):
    folder.root.mkdir()
    folder.challengers.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_challengers(folder.challengers) == {}
    assert "challengers.json cannot be read" in caplog.text
    write_challenger(folder.challengers, "one", entry("1"))
    assert read_challengers(folder.challengers) == {"one": entry("1")}


def test_on_record_are_those_that_serve_and_their_challengers_alone(folder):
    write_deployed(folder.deployed, "m", Deployed(**named("1")))
    write_challenger(folder.challengers, "m", entry("2"))
    write_challenger(folder.challengers, "gone", entry("3"))
    assert [(name, each.version) for name, each in on_record(folder)] == [("m", "1"), ("m", "2")]


def test_the_archives_of_a_challenger_and_of_the_previous_version_stay_in_the_store(folder):
    write_deployed(folder.deployed, "m", Deployed(**named("1"), previous="m-4.mar"))
    write_challenger(folder.challengers, "m", entry("2"))
    folder.store.mkdir()
    for version in "12345":
        Path(folder.store / f"m-{version}.mar").touch()
    for version in "145":
        discard_archive(folder, f"m-{version}.mar")
    assert sorted(file.name for file in folder.store.iterdir()) == ["m-1.mar", "m-2.mar", "m-3.mar", "m-4.mar"]
    clear_store(folder)
    assert sorted(file.name for file in folder.store.iterdir()) == ["m-1.mar", "m-2.mar", "m-4.mar"]


def test_no_archive_is_discarded_while_the_record_is_damaged(folder):
    folder.store.mkdir(parents=True)
    folder.deployed.write_text("{")
    Path(folder.store / "m-1.mar").touch()
    discard_archive(folder, "m-1.mar")
    assert [file.name for file in folder.store.iterdir()] == ["m-1.mar"]

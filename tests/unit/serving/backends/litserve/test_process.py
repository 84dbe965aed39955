"""The files of the processes that LitServe's adapter starts."""

import os

import pytest

from model.home import Home
from serving.backends.litserve import process
from serving.backends.litserve.process import Place


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Of an endpoint with the logs of five versions, written one after the other, of which the first is loaded."""
    monkeypatch.setattr(process, "_LOGS", 2)
    folder = Home(tmp_path).serve
    places = [Place.of(folder, "mugs", str(version)) for version in range(1, 6)]
    places[0].root.mkdir(parents=True)
    for age, place in enumerate(reversed(places)):
        place.log(folder).parent.mkdir(parents=True, exist_ok=True)
        place.log(folder).write_text("printed")
        os.utime(place.log(folder), (1e9 - age, 1e9 - age))
    places[1].log(folder).with_name("mugs@2.log.1").write_text("printed before")
    (folder.backend_logs(process.NAME) / "notes.txt").write_text("mine")
    return folder


def test_of_the_logs_of_versions_that_are_not_loaded_the_latest_are_kept(folder):
    process._remove_old_logs(folder)
    kept = sorted(file.name for file in folder.backend_logs(process.NAME).iterdir())
    assert kept == ["mugs@1.log", "mugs@4.log", "mugs@5.log", "notes.txt"]

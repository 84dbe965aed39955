"""The images that the gateway keeps: none unless it is told to, then a share of bounded number."""

import asyncio
import stat

import pytest

from model.errors import InvalidInput
from model.files import read_json
from serving.gateway import samples
from serving.gateway.samples import Samples
from serving.operations.query import make_query

ANSWER = {"release": "r", "neighbours": []}


def keep(folder, share, queries, answers):
    async def note():
        kept = Samples(folder, share)
        for query, answer in zip(queries, answers, strict=True):
            kept.note([query], [answer])
            await kept.finish()

    asyncio.run(note())


def search(image=b"image"):
    return make_query("search", [image], {"k": 3})


def test_a_sample_has_the_images_as_they_were_sent_and_the_answer(tmp_path):
    folder = tmp_path / "samples"
    keep(folder, 1, [make_query("verify", [b"one", b"two"])], [{"same": True}])
    document, first, second = sorted(folder.iterdir(), key=lambda file: (file.suffix != ".json", file.name))
    said = read_json(document)
    assert (said["operation"], said["answer"]) == ("verify", {"same": True})
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())


def test_nothing_is_kept_without_a_share_nor_of_what_was_not_answered(tmp_path):
    folder = tmp_path / "samples"
    keep(folder, 0, [search()] * 50, [ANSWER] * 50)
    keep(folder, 1, [search(), InvalidInput("no image")], [InvalidInput("no answer"), InvalidInput("no image")])
    assert not folder.exists()


def test_a_share_is_about_that_share(tmp_path, monkeypatch):
    draws = iter([0.05, 0.2, 0.09, 0.5])
    monkeypatch.setattr(samples.random, "random", lambda: next(draws))
    keep(tmp_path, 0.1, [search()] * 4, [ANSWER] * 4)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_the_oldest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "MOST", 3)
    keep(tmp_path, 1, [search(bytes([number])) for number in range(5)], [ANSWER] * 5)
    assert [file.read_bytes() for file in sorted(tmp_path.glob("*.image"))] == [b"\x02", b"\x03", b"\x04"]
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_a_folder_that_cannot_be_written_to_costs_no_answer(tmp_path, caplog):
    (tmp_path / "samples").write_text("a file")
    keep(tmp_path / "samples", 1, [search()], [ANSWER])
    assert "could not be kept" in caplog.text


@pytest.mark.parametrize("number", [samples._AT_ONCE + 3])
def test_while_some_are_being_written_no_more_are_begun(tmp_path, number):
    async def note():
        kept = Samples(tmp_path, 1)
        kept.note([search()] * number, [ANSWER] * number)
        await kept.finish()

    asyncio.run(note())
    assert len(list(tmp_path.glob("*.json"))) == samples._AT_ONCE

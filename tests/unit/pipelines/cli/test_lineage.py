"""`glocal lineage` and what it prints, with the answers of `serving` given."""

import json

import pytest

from model.schemas.data_pin import DataPin
from model.schemas.lineage import DataUse, DataUses, Lineage, SeenImage
from model.schemas.model_version import ModelVersion
from tests.support.releases import make_pin

PIN: DataPin = make_pin()
FOUND = Lineage(
    version=ModelVersion(model="drawn", version="2", created=0, aliases=("champion",), release="r", base_version="1"),
    serves=True,
    data=PIN,
    gallery=(),
    run=None,
    change=None,
    settings={},
    evaluated="",
    figures={},
    decision=None,
    promotions=(),
    notes=("No run is on record that made drawn version 2.",),
)
USE = DataUse(
    model="drawn",
    version="2",
    release="r",
    aliases=("champion",),
    serves=True,
    data="drawn@0",
    trained=True,
    tested=False,
    gallery=True,
    images=(SeenImage(path="a\u202e.png", label="cup", split="train"),),
)


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    monkeypatch.setattr("serving.lineage.lineage_of", lambda *_: FOUND)
    monkeypatch.setattr(
        "serving.data_uses.uses_of_image", lambda *_: DataUses(asked="m", uses=(USE,), unread=("drawn version 1: gone.",))
    )
    monkeypatch.setattr("serving.data_uses.uses_of_data", lambda *_: DataUses(asked="cups", uses=(), unread=()))


def test_a_version_is_shown_in_lines_and_what_is_not_on_record_is_said(glocal):
    code, out, error = glocal("lineage", "2", "--name", "drawn")
    assert code == 0
    assert out.startswith("version    drawn version 2  champion, serves  registered ")
    assert "base       version 1\n" in out
    assert error == "Not on record: No run is on record that made drawn version 2.\n"


def test_json_is_one_object_and_mermaid_a_chart(glocal):
    assert Lineage.model_validate(json.loads(glocal("lineage", "2", "--name", "drawn", "--json")[1])) == FOUND
    assert glocal("lineage", "2", "--name", "drawn", "--mermaid")[1].startswith("flowchart LR\n")


def test_the_versions_that_saw_an_image_are_lines_and_what_was_not_read_a_warning(glocal):
    code, out, error = glocal("lineage", "--image", "x.png")
    assert (code, out) == (
        0,
        "drawn 2  champion, serves  trained on, in its gallery  drawn@0  a\\u202e.png (cup, train)\n",
    )
    assert error == "Warning: may have seen it too: drawn version 1: gone.\n"


def test_that_no_version_saw_it_is_said(glocal):
    assert glocal("lineage", "--data", "cups") == (0, "", "No registered version is known to have seen it.\n")
    assert json.loads(glocal("lineage", "--data", "cups", "--json")[1]) == {"asked": "cups", "uses": [], "unread": []}


@pytest.mark.parametrize("words", [[], ["2", "--data", "x"], ["--data", "x", "--mermaid"], ["2", "--mermaid", "--json"]])
def test_one_thing_is_asked_at_a_time(glocal, words):
    code, out, error = glocal("lineage", *words)
    assert (code, out) == (2, "")
    assert error.startswith("Error: ")

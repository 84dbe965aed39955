"""`glocal diff` and what it prints, with the answer of `serving` given."""

import json

import pytest

from model.schemas.model_version import ModelVersion
from model.schemas.promotion_plan import FigureChange, TextChange
from model.schemas.version_diff import DataChange, QueryChange, VersionDiff, WonAndLost
from tests.support.releases import make_pin

ONE, OTHER = (ModelVersion(model="drawn", version=each, created=0, embedding_space_id=each) for each in "12")
FOUND = VersionDiff(
    before=ONE,
    after=OTHER,
    same_space=False,
    settings={"train.epochs": TextChange(before="12", after="")},
    data=DataChange(before=make_pin(), after=make_pin(rev="1" * 40, md5="e" * 32, files=12), added=2, removed=1),
    gallery=TextChange(before="drawn@0000000", after="drawn@1111111"),
    figures={"map_at_r": FigureChange(before=0.5, after=0.75)},
    queries=WonAndLost(queries=9, won=3, lost=1, most_won=(QueryChange(id="a.png", before=0, after=1),), most_lost=()),
    notes=("The data are gone.",),
)


@pytest.fixture(autouse=True)
def saved(monkeypatch):
    files = []
    monkeypatch.setattr("serving.version_diff.diff_versions", lambda *_: FOUND)
    monkeypatch.setattr("serving.version_diff.save_queries", lambda *given: files.append(given[2:]))
    return files


def test_the_differences_are_lines_and_what_was_not_compared_is_said(glocal, saved):
    code, out, error = glocal("diff", "1", "2", "--name", "drawn")
    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "version 1 -> 2",
        "train.epochs 12 -> unset",
        "data drawn@0000000 (9 images, 5 classes) -> drawn@1111111 (11 images, 5 classes)",
        "2 images added, 1 removed",
        "gallery drawn@0000000 -> drawn@1111111",
        "embedding space another: vectors and scores that callers keep cannot be compared with the new ones",
        "map_at_r 0.5 -> 0.75 (+0.25)",
        "queries 3 won, 1 lost of 9, by MAP@R",
    ]
    assert error == "Not compared: The data are gone.\n"
    assert saved == []


def test_json_is_one_object_that_names_the_page(glocal, saved, tmp_path):
    page = tmp_path / "x.html"
    told = json.loads(glocal("diff", "1", "2", "--name", "drawn", "--save", page, "--json")[1])
    assert told.pop("page") == str(page)
    assert VersionDiff.model_validate(told) == FOUND
    assert saved == [(ONE, OTHER, page)]


def test_a_page_is_an_html_file(glocal, saved):
    code, out, error = glocal("diff", "1", "2", "--name", "drawn", "--save", "x.png")
    assert (code, out, saved) == (2, "", [])
    assert "x.png would not be an HTML file." in error

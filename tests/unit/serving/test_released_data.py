"""The data of the release that answered."""

import shutil
import zipfile

import pytest

from model.home import Home
from serving.operations import OPERATIONS
from serving.released_data import fetched_data
from tests.support.releases import make_pin, make_release

MD5 = make_pin().md5


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("released") / "release")


@pytest.fixture
def home(tmp_path, release):
    """A home whose store holds version 3 of a model, and that fetched its data and others."""
    home = Home.at(tmp_path)
    home.serve.store.mkdir(parents=True)
    with zipfile.ZipFile(home.serve.store / "mugs-3.mar", "w") as archive:
        archive.write(release.folder / "manifest.json", "release/manifest.json")
    for md5 in ("0" * 32, MD5):
        (home.datasets / md5).mkdir(parents=True)
    return home


def answer(release, version="3"):
    named = {"release": release, "embedding_space_id": "s", "model_version": version}
    return OPERATIONS["search"].answer.model_validate({"neighbours": [], **named})


def test_only_the_data_that_the_release_was_made_from_are_named(home, release):
    assert fetched_data(home, "mugs", answer(release.id)) == {"": home.datasets / MD5}


def test_data_that_were_not_fetched_are_not_named(home, release):
    shutil.rmtree(home.datasets / MD5)
    assert fetched_data(home, "mugs", answer(release.id)) == {}


def test_a_release_that_the_store_does_not_hold_has_no_data(home, release):
    assert fetched_data(home, "mugs", answer("another")) == {}
    assert fetched_data(home, "mugs", answer(release.id, "4")) == {}
    assert fetched_data(home, "cups", answer(release.id)) == {}


@pytest.mark.parametrize("damaged", [b"", b"no archive"])
def test_a_damaged_archive_has_no_data(home, release, damaged):
    (home.serve.store / "mugs-3.mar").write_bytes(damaged)
    assert fetched_data(home, "mugs", answer(release.id)) == {}

"""Versions read where they lie: the same samples and bytes as fetched ones, without DVC; and no path that leads elsewhere."""

import shutil

import pytest

from model.data.manifest import SPLITS, read_manifest, write_manifest
from model.data.versions.dvc_session import open_dvc
from model.data.versions.fetch import fetch
from model.data.versions.stored import open_stored, stored_object
from model.errors import InvalidInput, NotFound
from model.home import Home
from tests.support.lineage import pin_drawn


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path / "home")


@pytest.fixture
def pin(home, tmp_path):
    open_stored.cache_clear()
    return pin_drawn(home, tmp_path)


def test_samples_and_bytes_are_those_of_the_fetched_version(home, pin):
    stored, folder = open_stored(home.data, pin.md5), fetch(pin, home.data, home.datasets)
    fetched = read_manifest(folder)
    assert stored.manifest.ids.tolist() == fetched.ids.tolist()
    assert stored.manifest.splits.tolist() == fetched.splits.tolist()
    for row in (0, len(fetched) - 1):
        assert stored.read(row, 10**6) == (folder / str(fetched.paths[row])).read_bytes()
    assert len(stored.read(0, 10)) == 10
    assert stored.rows[str(fetched.ids[5])] == 5
    assert stored.counts.sum() == len(fetched)
    assert stored.counts[0].tolist() == [int(((fetched.labels == 0) & (fetched.splits == split)).sum()) for split in SPLITS]


def test_an_object_lies_where_dvc_has_it(home, pin):
    with open_dvc(home.data) as dvc:
        assert str(stored_object(home.data, f"{pin.md5}.dir")) == dvc.cache.local.oid_to_path(f"{pin.md5}.dir")


def test_without_the_cache_the_fetched_folder_is_read(home, pin):
    fetch(pin, home.data, home.datasets)
    shutil.rmtree(home.data.repo / ".dvc" / "cache")
    stored = open_stored(home.data, pin.md5)
    assert stored.read(0, 4) == b"\x89PNG"
    assert stored.images[0] == b""


def test_a_version_that_is_not_here_says_so(home, pin):
    shutil.rmtree(home.data.repo / ".dvc" / "cache")
    with pytest.raises(NotFound, match="not on this machine"):
        open_stored(home.data, pin.md5)


def test_an_image_that_went_away_says_so(home, pin):
    stored = open_stored(home.data, pin.md5)
    stored_object(home.data, stored.images[0].decode()).unlink()
    with pytest.raises(NotFound, match="not on this machine"):
        stored.read(0, 10)
    with pytest.raises(NotFound, match="no sample"):
        stored.read(len(stored.manifest), 10)
    with pytest.raises(NotFound, match="no sample"):
        stored.read(-1, 10)


def test_a_path_that_leads_out_of_the_version_is_refused(home, tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = home.datasets / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    write_manifest(
        folder, [("../../../secret", "x", "test", None), ("link", "x", "test", None), ("/etc/hostname", "x", "test", None)]
    )
    stored = open_stored(home.data, "a" * 32)
    for row in range(3):
        with pytest.raises(NotFound, match="leads out"):
            stored.read(row, 100)


def test_a_damaged_list_of_files_is_named(home, pin):
    file = stored_object(home.data, f"{pin.md5}.dir")
    file.chmod(0o644)
    file.write_text("[1]")
    with pytest.raises(InvalidInput, match="damaged"):
        open_stored(home.data, pin.md5)

"""The record of what serves."""

import pytest

from model.errors import InvalidInput
from serving.rollout.deployed import Deployed, damage, read_deployed, write_deployed


def entry(version, **changes):
    named = {"version": version, "archive": f"m-{version}.mar", "sha256": "0", "release": "r", "embedding_space_id": "s"}
    return Deployed(**{**named, "workers": 1, **changes})


def test_what_is_deployed_is_read_back(tmp_path):
    file = tmp_path / "deployed.json"
    assert read_deployed(file) == {}
    write_deployed(file, "one", entry("1"))
    write_deployed(file, "two", entry("2", workers=2))
    assert read_deployed(file) == {"one": entry("1"), "two": entry("2", workers=2)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"m": {"version": "1"}}', '{"m": 1}', "\udcff"])
def test_a_damaged_record_is_named_with_what_to_do(tmp_path, text):
    file = tmp_path / "deployed.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=r"deployed\.json is damaged.*serve start"):
        read_deployed(file)


def test_a_folder_or_a_link_to_nothing_is_no_record_either(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, said in (("folder", "is a folder"), ("link", "is a link to nothing")):
        assert said in str(damage(tmp_path / name))
    assert damage(tmp_path / "missing") is None


def test_an_archive_outside_the_store_is_no_record(tmp_path):
    with pytest.raises(ValueError, match="archive"):
        entry("1", archive="../x.mar")

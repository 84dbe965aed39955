"""Where the source of a run is found by its steps."""

import pytest

from model.errors import InvalidInput
from pipelines.sources import locate, locate_for_pods


def test_a_source_is_found_from_wherever_the_steps_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    assert locate("images") == str(tmp_path / "images")
    assert locate("s3://bucket/prefix") == "s3://bucket/prefix"
    assert locate("grocery@0123abc") == "grocery@0123abc"
    (tmp_path / "link").symlink_to("images")
    assert locate("link") == locate("images/../link") == str(tmp_path / "link")
    assert locate("images/..") == str(tmp_path)
    with pytest.raises(InvalidInput, match="There is no folder nothing"):
        locate("nothing")


def test_a_source_is_one_that_the_nodes_see(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source in ("s3://bucket/prefix", "photos@0123abc", "photos", "/var/lib/glocal/import/photos"):
        assert locate_for_pods(source) == source
    (tmp_path / "photos").mkdir()
    for source in ("photos", str(tmp_path / "photos"), "", "/var/lib/glocal/../x", "~/photos"):
        with pytest.raises(InvalidInput, match="do not see"):
            locate_for_pods(source)

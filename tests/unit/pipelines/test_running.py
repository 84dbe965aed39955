"""What a run is asked for."""

import pytest

from model.config import RunConfig
from model.errors import InvalidInput
from pipelines.running import locate, pipeline_arguments


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


def test_the_pipeline_is_told_every_section_of_the_configuration():
    config = RunConfig()
    arguments = pipeline_arguments("x", "y", config, "because")
    assert arguments == {"source": "x", "name": "y", **config.model_dump(), "why": "because"}

"""What a run is asked for, and runs that were killed."""

import pytest

from model.config import RunConfig
from model.errors import InvalidInput, NotFound
from model.files import read_json, write_json
from pipelines.runners.local import alive
from pipelines.running import close_killed_runs, locate, pipeline_arguments


class Record:
    """A record that knows one run."""

    def __init__(self) -> None:
        self.ended = []

    def kill(self, run_id):
        if run_id != "known":
            raise NotFound("There is no such run.")
        self.ended.append(run_id)


def test_a_killed_run_is_recorded_as_killed_once(tmp_path):
    write_json(tmp_path / "a" / "run.json", {"run_id": "known"})
    record = Record()
    close_killed_runs(record, tmp_path)
    close_killed_runs(record, tmp_path)
    assert record.ended == ["known"]


def test_a_run_that_lives_is_left_alone(tmp_path):
    write_json(tmp_path / "a" / "run.json", {"run_id": "known"})
    record = Record()
    with alive(tmp_path / "a"):
        close_killed_runs(record, tmp_path)
    assert record.ended == []


def test_a_killed_run_of_a_lost_database_does_not_stand_in_the_way(tmp_path):
    write_json(tmp_path / "a" / "run.json", {"run_id": "lost"})
    close_killed_runs(Record(), tmp_path)
    assert read_json(tmp_path / "a" / "result.json")["status"] == "killed"


def test_a_source_is_found_from_wherever_the_steps_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    assert locate("images") == str(tmp_path / "images")
    assert locate("s3://bucket/prefix") == "s3://bucket/prefix"
    assert locate("grocery@0123abc") == "grocery@0123abc"
    with pytest.raises(InvalidInput, match="There is no folder nothing"):
        locate("nothing")


def test_the_pipeline_is_told_every_section_of_the_configuration():
    config = RunConfig()
    arguments = pipeline_arguments("x", "y", config, "because")
    assert arguments == {"source": "x", "name": "y", **config.model_dump(), "why": "because"}

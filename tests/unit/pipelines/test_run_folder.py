"""What is read of a run's folder, and what is not."""

from datetime import UTC, datetime

import pytest

from model.errors import NotFound
from model.files import write_json
from model.home import Home
from model.schemas.run_record import RunRecord
from pipelines.run_folder import TAIL_BYTES, RunFolder, state_now
from pipelines.runners.local import alive


@pytest.fixture
def home(tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    return Home.at(tmp_path)


@pytest.fixture
def folder(home):
    return RunFolder(home.runs / "one")


def record(folder, state="running"):
    return RunRecord(id="a" * 32, name="one", state=state, started=datetime.now(UTC), folder=str(folder))


@pytest.mark.parametrize("elsewhere", ["", "/etc", "runs", "runs/one/report", "runs/../runs/one", "runs/.."])
def test_only_a_folder_directly_in_the_homes_runs_is_read(home, elsewhere):
    where = f"{home.root}/{elsewhere}" if elsewhere.startswith("runs") else elsewhere
    assert RunFolder.of(record(where), home) is None
    assert RunFolder.of(record(home.runs / "one"), home) is not None


def test_a_link_is_no_folder_of_a_run(home, tmp_path):
    (home.runs / "link").symlink_to("/etc")
    assert RunFolder.of(record(home.runs / "link"), home) is None


def test_a_folder_is_found_by_its_name_for_its_own_run_alone(home):
    write_json(home.runs / "one" / "run.json", {"run_id": "a" * 32})
    assert RunFolder.named("one", "a" * 32, home) is not None
    for name, run_id in (("one", "b" * 32), ("..", "a" * 32), ("../runs/one", "a" * 32), ("", "a" * 32), ("none", "a" * 32)):
        assert RunFolder.named(name, run_id, home) is None


def test_a_run_whose_process_is_dead_was_killed_unless_it_left_its_end(home, folder):
    running = record(folder.root)
    with alive(folder.root):
        assert state_now(running, home) == "running"
    assert state_now(running, home) == "killed"
    write_json(folder.root / "result.json", {"status": "rejected"})
    assert state_now(running, home) == "rejected"
    assert state_now(record(folder.root, "failed"), home) == "failed"


def test_of_a_run_of_another_machine_only_its_record_is_known(home):
    assert state_now(record("/elsewhere/runs/one"), home) == "running"


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "link", "report/../../secret", "", ".", "none"])
def test_only_files_that_a_listing_names_are_served(home, folder, name):
    (home.root / "secret").write_text("x")
    (folder.root / "link").symlink_to(home.root / "secret")
    (folder.root / "train.log").write_text("x")
    with pytest.raises(NotFound):
        folder.file(name)
    assert folder.file("train.log").read_text() == "x"


def test_of_a_long_log_whole_lines_of_its_end_are_shown(folder):
    (folder.root / "train.log").write_text("".join(f"line {number}\n" for number in range(60_000)))
    shown = folder.log_tail("train").splitlines()
    assert len("\n".join(shown)) <= TAIL_BYTES
    assert shown[-1] == "line 59999"
    assert shown[0].startswith("line ")

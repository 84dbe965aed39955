"""Runs that were killed, and folders of runs whose files were damaged since: none stands in the way of the next run."""

import shutil
import signal
import subprocess

import pytest

from model.files import read_json, write_json
from model.home import Home
from pipelines.killed_runs import close_killed_runs, close_runs_of, killed_if_interrupted
from pipelines.runners.local import alive
from serving.processes import wait_until
from serving.registry.runs import Runs
from tests.support.commands import begin, end, processes, run_command
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(Home.at(tmp_path_factory.mktemp("home")).tracking_uri)


@pytest.fixture
def folder(tmp_path):
    """Of one run."""
    (tmp_path / "runs" / "b").mkdir(parents=True)
    return tmp_path / "runs" / "b"


@pytest.fixture
def begun(runs, folder):
    """A run that began and has not ended."""
    run_id = runs.start_run("begun", tags={"folder": folder})
    write_json(folder / "run.json", {"run_id": run_id})
    return run_id


def close(runs, folder):
    """Close the killed runs; returns what was told."""
    told = []
    close_killed_runs(runs, folder.parent, told.append)
    return told


def test_a_killed_run_is_recorded_as_killed_and_nothing_is_said(runs, folder, begun):
    assert close(runs, folder) == []
    assert runs.run(begun).state == "killed"
    assert read_json(folder / "result.json") == {"status": "killed"}


def test_a_run_that_lives_is_left_alone(runs, folder, begun):
    with alive(folder):
        assert close(runs, folder) == []
    assert runs.run(begun).state == "running"


def test_a_run_that_ended_on_its_record_and_was_killed_before_its_result_keeps_how_it_ended(runs, folder, begun):
    runs.close(begun, succeeded=True)
    assert close(runs, folder) == []
    assert runs.run(begun).state == "succeeded"
    assert read_json(folder / "result.json") == {"status": "succeeded"}


def test_a_run_killed_before_it_noted_its_record_is_found_by_its_folder(runs, folder, begun):
    (folder / "run.json").unlink()
    with alive(folder):
        pass
    assert close(runs, folder) == []
    assert runs.run(begun).state == "killed"


def test_a_killed_run_of_a_lost_database_does_not_stand_in_the_way(runs, folder):
    write_json(folder / "run.json", {"run_id": "lost"})
    assert close(runs, folder) == []
    assert read_json(folder / "result.json") == {"status": "killed"}


def test_an_interrupted_run_is_recorded_as_killed_at_once(runs, folder, begun):
    with pytest.raises(KeyboardInterrupt), killed_if_interrupted(runs, begun, folder):
        raise KeyboardInterrupt
    assert runs.run(begun).state == "killed"
    assert read_json(folder / "result.json") == {"status": "killed"}


def empty(file):
    file.write_bytes(b"")


def garble(file):
    file.write_bytes(b"\xff{[")


def cut(file):
    file.write_bytes(b'{"run_id": "')


def other_json(file):
    file.write_text("[1, 2]")


def dangling_link(file):
    file.unlink(missing_ok=True)
    file.symlink_to(file.parent / "nowhere")


def replace_by_folder(file):
    file.unlink(missing_ok=True)
    file.mkdir()


FILES = [empty, garble, cut, other_json, dangling_link]


@pytest.mark.parametrize("damage", [*FILES, replace_by_folder])
def test_a_run_whose_run_json_is_damaged_is_found_by_its_folder_and_one_line_says_so_once(runs, folder, begun, damage):
    damage(folder / "run.json")
    (line,) = close(runs, folder)
    assert line.startswith(f"{folder / 'run.json'} is damaged. The run is recorded as killed")
    assert runs.run(begun).state == "killed"
    assert close(runs, folder) == []


@pytest.mark.parametrize("damage", FILES)
def test_a_damaged_result_is_written_anew_from_the_record_and_one_line_says_so_once(runs, folder, begun, damage):
    runs.close(begun, succeeded=False, headline="No room.")
    damage(folder / "result.json")
    (line,) = close(runs, folder)
    assert line.startswith(f"{folder / 'result.json'} is damaged. The run is recorded as failed")
    assert read_json(folder / "result.json") == {"status": "failed"}
    assert runs.run(begun).state == "failed"
    assert close(runs, folder) == []


def test_a_folder_in_place_of_a_result_is_named_with_the_remedy_and_the_next_run_is_closed_all_the_same(runs, folder, begun):
    (folder / "result.json").mkdir()
    later = folder.with_name("c")
    write_json(later / "run.json", {"run_id": runs.start_run("later")})
    (line,) = close(runs, folder)
    assert str(folder) in line
    assert "Remove or rename that folder" in line
    assert "\n" not in line
    assert read_json(later / "result.json") == {"status": "killed"}


def test_a_folder_in_place_of_the_lock_is_held_by_nobody(runs, folder, begun):
    (folder / "alive").mkdir()
    assert close(runs, folder) == []
    assert runs.run(begun).state == "killed"


def test_a_link_in_place_of_the_lock_is_not_followed(runs, folder, begun, tmp_path):
    (tmp_path / "mine.txt").write_text("my own text")
    (folder / "alive").symlink_to(tmp_path / "mine.txt")
    close(runs, folder)
    assert (tmp_path / "mine.txt").read_text() == "my own text"


def test_what_is_no_folder_of_a_run_is_passed_over(runs, folder):
    (folder.parent / "notes.txt").write_text("notes")
    (folder.parent / "link").symlink_to(folder.parent / "nowhere")
    (folder / "train.log").write_text("a log")
    assert close(runs, folder) == []
    assert not (folder / "result.json").exists()
    shutil.rmtree(folder.parent)
    assert close(runs, folder) == []


@pytest.fixture
def home(tmp_path):
    """A home of its own with a run that was killed, and its record."""
    home = Home.at(tmp_path / "own")
    runs = Runs(home.tracking_uri)
    run_id = runs.start_run("killed", tags={"folder": home.runs / "a"})
    write_json(home.runs / "a" / "run.json", {"run_id": run_id})
    return home, runs, run_id


def test_the_killed_runs_of_a_home_are_closed_outside_a_run(home):
    place, runs, run_id = home
    told = []
    close_runs_of(place, place.tracking_uri, told.append)
    assert (told, runs.run(run_id).state) == ([], "killed")


def test_no_database_is_made_to_close_killed_runs(home):
    place, _, _ = home
    (place.root / "mlflow.db").unlink()
    told = []
    close_runs_of(place, place.tracking_uri, told.append)
    (line,) = told
    assert line.startswith(f"Killed runs cannot be closed: {place.root / 'mlflow.db'} is missing")
    assert not (place.root / "mlflow.db").exists()


def test_a_home_without_killed_runs_is_left_alone(tmp_path):
    home = Home.at(tmp_path / "empty")
    close_runs_of(home, home.tracking_uri, pytest.fail)
    assert not home.root.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_glocal_run_records_the_run_as_killed_and_ends_its_processes(tmp_path, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("The signal is ignored here, as SIGHUP is below nohup and SIGINT in a script's background.")
    for label in range(5):
        for view in range(2):
            file = tmp_path / "shop" / f"class {label}" / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw_view(label, view))
    home = Home.at(tmp_path / "home")
    try:
        with begin(home.root, run_command(tmp_path / "shop", "shop", {}), stderr=subprocess.PIPE) as process:
            assert wait_until(lambda: any(home.runs.glob("*/events*")), deadline_s=60)
            process.send_signal(number)
            _, error = process.communicate(timeout=60)
        assert (process.returncode, error.splitlines()[-1]) == (128 + number, "Stopped. The same command resumes.")
        assert [record.state for record in Runs(home.tracking_uri).runs()] == ["killed"]
        assert wait_until(lambda: not processes(home.root), deadline_s=30)
    finally:
        end(home.root)

"""MLflow's SQLite file, damaged in every way: the commands say so in one line with what to do, and at once."""

import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from model.claim import claim
from model.disk import disk_error
from model.errors import StorageFailed
from model.home import Home
from serving.reconcile import server_status
from serving.registry.runs import Runs
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A home with a record of runs."""
    home = claim(Home.at(tmp_path_factory.mktemp("recorded")))
    runs = Runs(home.tracking_uri)
    for number in range(20):
        runs.close(runs.start_run(f"run {number}", {f"p{each}": each for each in range(50)}), succeeded=True)
    return home


@pytest.fixture
def home(recorded, tmp_path):
    """A copy of it that served something."""
    copied = Home.at(shutil.copytree(recorded.root, tmp_path / "home"))
    copied.serve.root.mkdir()
    (copied.root / "mlartifacts").mkdir(exist_ok=True)
    return copied


def overwrite(file):
    file.write_bytes(os.urandom(300_000))


def overwrite_all_but_the_head(file):
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))


def truncate(file):
    os.truncate(file, 200_000)


def empty(file):
    file.write_bytes(b"")


def folder(file):
    file.unlink()
    file.mkdir()


def dangling(file):
    file.unlink()
    file.symlink_to(file.parent / "nowhere" / "mlflow.db")


DAMAGES = [overwrite, overwrite_all_but_the_head, truncate, empty, folder, dangling]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_named_with_what_to_do(home, damage):
    damage(home.root / "mlflow.db")
    with pytest.raises(StorageFailed) as caught:
        Runs(home.tracking_uri)
    assert caught.value.headline.startswith(f"{home.root / 'mlflow.db'} ")
    assert "\n" not in caught.value.headline
    moved = f"move {home.root / 'mlflow.db'} and {home.serve.root} and {home.root / 'mlartifacts'} away"
    assert caught.value.hint.startswith(f"Restore it from a backup. Without one: glocal serve stop, then {moved}; the next run")
    assert caught.value.exit_code == 1


def test_a_database_that_a_killed_first_run_left_empty_is_made(tmp_path):
    home = claim(Home.at(tmp_path / "home"))
    (home.root / "mlflow.db").touch()
    assert Runs(home.tracking_uri).runs() == []


def test_a_database_that_somebody_writes_to_is_not_damaged(recorded):
    writer = sqlite3.connect(recorded.root / "mlflow.db", isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert len(Runs(recorded.tracking_uri).runs()) == 20
    finally:
        writer.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write to every file")
def test_a_database_that_this_user_may_not_write_to_is_named(home):
    (home.root / "mlflow.db").chmod(0o444)
    with pytest.raises(StorageFailed, match=r"mlflow\.db may not be written to by this user"):
        Runs(home.tracking_uri)


def test_a_database_that_is_damaged_while_it_is_in_use_is_explained(home):
    runs = Runs(home.tracking_uri)
    overwrite_all_but_the_head(home.root / "mlflow.db")
    with pytest.raises(Exception, match="malformed") as caught:
        runs.start_run("one more")
    assert disk_error(caught.value, home.root).headline == f"A database in {home.root} is damaged."


def test_the_status_of_the_server_names_the_database_as_what_only_a_person_can_put_right(home):
    overwrite(home.root / "mlflow.db")
    found = server_status(home, home.tracking_uri)
    assert found.unsettled.found.startswith(f"{home.root / 'mlflow.db'} is damaged")
    assert found.fault.exit_code == 1


@pytest.mark.parametrize("words", [["run", "shop"], ["serve", "status"]], ids=["run", "status"])
def test_a_command_says_it_in_two_lines_and_exits_with_1(home, tmp_path, words):
    for label in range(5):
        for view in range(2):
            file = tmp_path / "shop" / f"class {label}" / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw_view(label, view))
    truncate(home.root / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *words],
        env=os.environ | {"GLOCAL_HOME": str(home.root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    headline, hint = done.stderr.splitlines()
    assert headline == f"Error: {home.root / 'mlflow.db'} is damaged: database disk image is malformed."
    assert hint.startswith("  Restore it from a backup. Without one: glocal serve stop, then move ")

"""A database that is missing: it is made only where nothing refers to an earlier one."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from model.errors import StorageFailed
from model.files import write_text
from model.home import Home
from serving.registry.database import check_not_lost
from serving.registry.models import Registry
from serving.registry.runs import Runs


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def deployed(home):
    write_text(home.serve.deployed, "damaged")
    return [home.serve.root]


def stored(home):
    write_text(home.serve.store / "mugs-1.mar", "x")
    return [home.serve.root]


def recorded(home):
    (home.root / "mlartifacts").mkdir(parents=True)
    return [home.root / "mlartifacts"]


def all_of_them(home):
    write_text(home.ledger, "")
    return [*deployed(home), *recorded(home), home.ledger]


@pytest.mark.parametrize("refer", [deployed, stored, recorded, all_of_them])
def test_a_missing_database_that_something_refers_to_is_refused_with_both_remedies(home, refer):
    folders = refer(home)
    with pytest.raises(StorageFailed, match=r"mlflow\.db is missing, and files ") as caught:
        Registry(home.tracking_uri, "mugs")
    assert not (home.root / "mlflow.db").exists()
    away = " and ".join(map(str, folders))
    assert caught.value.hint == (
        f"Restore it from a backup. Without one: glocal serve stop, then move {away} away; the next run begins new records."
    )


def test_once_what_referred_to_it_is_moved_away_a_new_database_is_made(home):
    for folder in all_of_them(home):
        folder.rename(home.root / f"old-{folder.name}")
    check_not_lost(home.root / "mlflow.db", home.serve)
    with pytest.raises(StorageFailed):
        check_not_lost(home.root / "mlflow.db", home.serve, needed=True)


def test_a_server_that_never_served_a_model_refers_to_no_database(home):
    home.serve.store.mkdir(parents=True)
    write_text(home.serve.state, "{}")
    check_not_lost(home.root / "mlflow.db", home.serve)


_KILLED = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("CREATE TABLE half (text)")
database.executemany("INSERT INTO half VALUES (?)", [("x" * 1000,)] * 1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_rolled_back_by_a_process_that_has_the_database_open(tmp_path):
    file = tmp_path / "mlflow.db"
    runs = Runs(f"sqlite:///{file}")
    run = runs.start_run("before")
    assert subprocess.run([sys.executable, "-c", _KILLED, str(file)], check=False).returncode == -signal.SIGKILL
    assert file.with_name("mlflow.db-journal").stat().st_size > 0
    assert Runs(f"sqlite:///{file}").run(run).name == "before"
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)

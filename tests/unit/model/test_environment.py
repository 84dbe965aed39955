"""Where things lie, and who acts."""

import getpass
import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote

import pytest

from model import environment as module
from model.environment import Environment, current_user, prepare_process
from model.home import Home


def nameless() -> str:
    raise KeyError("getpwuid(): uid not found: 12345")


@pytest.mark.parametrize("value", ["", None])
def test_without_a_glocal_home_it_is_a_folder_of_its_own_in_the_current_one(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv("GLOCAL_HOME", raising=False)
    else:
        monkeypatch.setenv("GLOCAL_HOME", value)
    assert Environment().home.root == tmp_path.resolve() / ".glocal"
    assert not any(tmp_path.iterdir())


def test_a_user_without_a_name_has_a_number(monkeypatch):
    monkeypatch.delenv("GLOCAL_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    assert current_user() == f"uid-{os.getuid()}"
    monkeypatch.setenv("GLOCAL_USER", "Ada")
    assert current_user() == "Ada"


@pytest.fixture
def environ(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in ("TMPDIR", "LOGNAME", "HOME", "GLOCAL_USER"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return monkeypatch


def test_without_a_temporary_folder_the_home_holds_temporary_files(tmp_path, environ):
    environ.setattr(module, "temporary_folder", lambda _: None)
    prepare_process(Home(tmp_path))
    assert os.environ["TMPDIR"] == str(tmp_path / "tmp")
    assert (tmp_path / "tmp").is_dir()


def test_a_temporary_folder_that_does_not_exist_is_replaced_for_programs_that_do_not_look(tmp_path, environ):
    environ.setenv("TMPDIR", str(tmp_path / "nowhere"))
    prepare_process(Home(tmp_path))
    assert Path(os.environ["TMPDIR"]).is_dir()
    assert not (tmp_path / "tmp").exists()


def test_a_user_without_name_and_home_gets_both(tmp_path, environ):
    environ.setattr(getpass, "getuser", nameless)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    environ.setattr(Path, "home", homeless)
    prepare_process(Home(tmp_path))
    assert os.environ["LOGNAME"] == f"uid-{os.getuid()}"
    assert os.environ["HOME"] == str(tmp_path / "tmp")


def test_the_address_of_a_database_in_a_plain_path_is_plain():
    assert Home(Path("/a b/ü")).tracking_uri == "sqlite:////a b/ü/mlflow.db"


@pytest.mark.parametrize("name", ["50% off", "a%20b", "what?", "c#", "q'\"", "back\\slash", "日本"])
def test_the_address_of_a_database_leads_back_to_its_file(tmp_path, name):
    from serving.registry.store import sqlite_file

    home = Home(tmp_path / name)
    assert sqlite_file(home.tracking_uri) == home.root / "mlflow.db"
    assert unquote(home.tracking_uri).endswith(f"{name}/mlflow.db") or "%" in name
    home.root.mkdir()
    from sqlalchemy import create_engine

    create_engine(home.tracking_uri).connect().close()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    sqlite3.connect(home.root / "mlflow.db").close()

"""Whose a folder is."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from model.claim import claim
from model.errors import InvalidInput, StorageFailed
from model.home import DataStore, Home, ServeFolder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_is_marked_once(tmp_path):
    home = Home(tmp_path / "a" / "home")
    assert claim(home) is home
    stamp = home.marker.stat().st_ino
    assert claim(home) is home
    assert [each.name for each in home.root.iterdir()] == [".glocal-home"]
    assert home.marker.stat().st_ino == stamp


@pytest.mark.parametrize("name", sorted(Home(Path("/")).names))
def test_a_folder_with_a_users_own_files_under_our_names_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(InvalidInput, match=f"under names that it uses: {name}") as caught:
        claim(Home(tmp_path))
    assert "Set GLOCAL_HOME to an empty folder" in caught.value.hint
    assert files(tmp_path) == before


def test_files_of_other_names_do_not_stand_in_the_way(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "README.md").write_text("mine")
    claim(Home(tmp_path))
    assert files(tmp_path).keys() == {"README.md", ".glocal-home"}


def a_run(home: Home) -> None:
    (home.runs / "20251124-103000-0a1b2c").mkdir(parents=True)
    (home.runs / "20251124-103000-0a1b2c" / "alive").touch()


def a_server(home: Home) -> None:
    home.serve.root.mkdir(parents=True)
    home.serve.config.write_text(f"model_store={home.serve.store}\n")


def a_repository(home: Home) -> None:
    (home.data.repo / ".dvc").mkdir(parents=True)
    (home.data.repo / ".dvc" / "config").write_text("[core]\nremote = storage\n['remote \"storage\"']\nurl = ../../remote\n")


@pytest.mark.parametrize("made", [a_run, a_server, a_repository])
def test_a_home_from_before_there_were_markers_is_marked(tmp_path, made):
    home = Home(tmp_path)
    made(home)
    before = files(tmp_path)
    claim(home)
    assert files(tmp_path).keys() == before.keys() | {".glocal-home"}


def test_a_users_own_runs_database_and_repository_are_no_sign_of_an_earlier_glocal(tmp_path):
    home = Home(tmp_path)
    (home.runs / "exp1").mkdir(parents=True)
    (home.runs / "exp1" / "run.json").write_text(json.dumps({}))
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0")
    (home.data.repo / ".dvc").mkdir(parents=True)
    (home.data.repo / ".dvc" / "config").write_text("[core]\n    remote = storage\n")
    with pytest.raises(InvalidInput, match=r"data, mlflow\.db, runs"):
        claim(home)


@pytest.mark.parametrize("name", ["back\\slash", "new\nline", "no\udcfftext"])
def test_a_path_that_tools_would_read_as_another_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="The path of GLOCAL_HOME") as caught:
        claim(Home(tmp_path / name))
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    assert not any(tmp_path.iterdir())


@pytest.fixture
def closed():
    """A folder that this user may enter and not write to. pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="glocal-test-") as folder:
        Path(folder).chmod(0o555)
        root = os.getuid() == 0
        if root:
            os.seteuid(65534)
        yield Path(folder)
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["home", "a/b/home"])
def test_a_home_that_cannot_be_made_is_named_with_the_folder_that_is_closed(closed, name):
    with pytest.raises(StorageFailed) as caught:
        claim(Home(closed / name))
    assert caught.value.headline == f"{closed / name} cannot be made: this user may not write to {closed}."
    assert f"Change the permissions of {closed}, or set GLOCAL_HOME" in caught.value.hint


def test_a_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "home").write_text("mine")
    with pytest.raises(InvalidInput, match="which is a file"):
        claim(Home(tmp_path / "home"))


def test_every_path_of_the_layout_begins_with_a_name_that_is_ours():
    home = Home(Path("/h"))
    for owner in (home, home.data, home.serve):
        for name, member in vars(type(owner)).items():
            found = getattr(owner, name) if isinstance(member, property) else None
            root = found.root if isinstance(found, DataStore | ServeFolder | Home) else found
            if isinstance(root, Path) and root != home.marker and root != home.root:
                assert root.relative_to(home.root).parts[0] in home.names, name


@pytest.mark.parametrize("folder", Home(Path("/")).folders, ids=lambda folder: folder.name)
@pytest.mark.parametrize("what", ["a file", "a link to nothing"])
def test_a_file_in_the_place_of_a_folder_is_named_with_the_remedy(tmp_path, folder, what):
    home = claim(Home(tmp_path))
    place = tmp_path / folder.name
    if what == "a file":
        place.touch()
    else:
        place.symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidInput) as error:
        claim(home)
    assert error.value.headline == f"{place} is {what}, where Glocal keeps a folder."
    assert error.value.hint.startswith("Move it away")
    place.unlink()
    assert claim(home) is home

import contextlib

import pytest

from model import files
from model.files import atomic_folder, read_json, set_aside, write_json
from tests.support.killing import kill_at


def test_what_is_set_aside_replaces_nothing(tmp_path):
    names = []
    for text in ("first", "second", "third"):
        (tmp_path / "x.json").write_text(text)
        names.append(set_aside(tmp_path / "x.json").name)
    assert names == ["x.json.damaged", "x.json.damaged.2", "x.json.damaged.3"]
    assert (tmp_path / "x.json.damaged.2").read_text() == "second"


def test_a_folder_and_a_link_to_nothing_are_set_aside(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert set_aside(tmp_path / "folder").is_dir()
    assert set_aside(tmp_path / "link").is_symlink()


def test_what_is_removed_is_gone_at_one_moment_whatever_an_earlier_removal_left(tmp_path, monkeypatch):
    folder = tmp_path / "maps"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "0.npy").touch()
    monkeypatch.setattr(files.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        files.remove_whole(folder)
    assert [path.name for path in tmp_path.iterdir()] == [f".maps{files.REMOVED}"]
    monkeypatch.undo()
    folder.touch()
    files.remove_whole(folder)
    assert not list(tmp_path.iterdir())


def killed(*_):
    raise KeyboardInterrupt


POINTS = [
    ("model.files._fsync", 1, "before"),
    ("model.files._fsync", 1, "after"),
    ("os.replace", 1, "before"),
    ("os.replace", 1, "after"),
    ("model.files._fsync", 2, "after"),
]
WRITE_FILE = """
from pathlib import Path
from model.files import write_json
write_json(Path(arguments[0]), ["new"] * 1000)
"""


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_file_whose_writer_is_killed_is_the_old_one_or_the_new_one(tmp_path, point):
    file = tmp_path / "state.json"
    write_json(file, ["old"])
    kill_at(*point, WRITE_FILE, file)
    assert read_json(file) == (["old"] if POINTS.index(point) < 3 else ["new"] * 1000)
    write_json(file, ["next"])
    assert read_json(file) == ["next"]


POINTS_OF_A_FOLDER = [
    ("model.files._fsync", 1, "before"),
    ("model.files._fsync", 2, "after"),
    ("os.replace", 1, "before"),
    ("os.replace", 1, "after"),  # the old one has the name by which the next call finds it
    ("os.replace", 2, "before"),
    ("os.replace", 2, "after"),
    ("shutil.rmtree", 2, "before"),
    ("shutil.rmtree", 2, "after"),
]
WRITE_FOLDER = """
from pathlib import Path
from model.files import atomic_folder
with atomic_folder(Path(arguments[0])) as folder:
    for name in "ab":
        (folder / name).write_text("new")
"""


def filled(path, text):
    with atomic_folder(path) as folder:
        for name in "ab":
            (folder / name).write_text(text)


def content(path):
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.mark.parametrize("point", POINTS_OF_A_FOLDER, ids=str)
def test_a_folder_whose_writer_is_killed_is_the_old_one_or_the_new_one(tmp_path, point):
    path = tmp_path / "release"
    filled(path, "old")
    kill_at(*point, WRITE_FOLDER, path)
    with contextlib.suppress(RuntimeError), atomic_folder(path):
        raise RuntimeError
    text = "old" if POINTS_OF_A_FOLDER.index(point) < 5 else "new"
    assert content(path) == {"a": text, "b": text}
    filled(path, "next")
    assert content(path) == {"a": "next", "b": "next"}
    assert not path.with_name("release.old").exists()

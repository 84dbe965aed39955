import pytest

from model import files
from model.files import set_aside


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

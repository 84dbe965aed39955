"""Temporary folders: theirs alone, and removed when their owners are dead."""

import subprocess
import sys
import tempfile

import pytest

from model.scratch import remove_abandoned, scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_is_empty_and_gone_afterwards(temporary):
    with scratch_folder("use") as folder:
        assert list(folder.iterdir()) == []
        assert folder.is_relative_to(temporary)
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_kept(temporary):
    code = "import os; from model.scratch import scratch_folder\nwith scratch_folder('dead'): os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], env={"TMPDIR": str(temporary), **_path()}, check=False)
    assert done.returncode == -9
    with scratch_folder("alive") as kept:
        (kept / "work").write_text("x")
        assert len(list(temporary.glob("glocal-*"))) == 2
        (removed,) = remove_abandoned()
        assert removed.name.startswith("glocal-dead-")
        assert (kept / "work").read_text() == "x"


def test_folders_of_others_are_not_touched(temporary):
    for name in ("glocal-notes", "other"):
        (temporary / name).mkdir()
    (temporary / "other" / ".owner").write_text("")
    assert remove_abandoned() == []
    assert len(list(temporary.iterdir())) == 2


def _path():
    return {"PYTHONPATH": ":".join(sys.path)}

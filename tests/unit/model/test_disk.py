"""What a disk refuses, in our words."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from model.disk import check_writable, disk_error, disk_errors, full_place, system_error, temporary_folder
from model.errors import GlocalError, InvalidInput, StorageFailed
from model.files import atomic_file


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


REFUSED = [
    (OSError(errno.ENOSPC, "No space left on device", "/d/x"), "There is no room left on the disk of /d/x."),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "/d/x"), "There is no room left on the disk of /d/x."),
    (
        caused(RuntimeError("3 failed"), OSError(errno.ENOSPC, "No space")),
        "no room left on the disk of /home",
    ),
    (sqlite3.OperationalError("database or disk is full"), "There is no room left on the disk of /home."),
    (GlocalError("git add failed: fatal: write error: No space left on device"), "There is no room left on the disk of /home."),
    (OSError(errno.EROFS, "Read-only file system", "/d/x"), "/d/x lies on a read-only disk."),
    (sqlite3.OperationalError("attempt to write a readonly database"), "/home lies on a read-only disk."),
    (PermissionError(errno.EACCES, "Permission denied", "/d/x"), "/d/x may not be opened by this user."),
]


@pytest.mark.parametrize(("error", "headline"), REFUSED)
def test_a_disk_that_takes_no_more_is_named_with_what_to_do(error, headline):
    found = disk_error(error, Path("/home"))
    assert found is not None
    assert headline in found.headline
    assert "GLOCAL_HOME" in found.hint
    assert found.exit_code == 1


@pytest.mark.parametrize(
    "error", [ValueError("no"), FileNotFoundError(errno.ENOENT, "No such file", "/d/x"), OSError(errno.EIO, "I/O")]
)
def test_another_error_is_none_of_the_disks(error):
    assert disk_error(error, Path("/home")) is None


@pytest.mark.parametrize(
    ("error", "headline", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/d/x"), "There is no room left on the disk of /d/x.", "Make room"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/d/x"),
            "No such file or directory: /d/x.",
            "See the log.",
        ),
        (OSError(errno.EIO, "Input/output error"), "Input/output error: a file.", "See the log."),
    ],
)
def test_an_error_of_the_system_is_explained(error, headline, hint):
    explained = system_error(error, Path("/home"), "See the log.")
    assert explained is not None
    assert explained.headline == headline
    assert explained.hint.startswith(hint)


@pytest.mark.parametrize("error", [ValueError("no"), OSError("no number")])
def test_an_error_of_the_program_is_none_of_the_systems(error):
    assert system_error(error, Path("/home"), "See the log.") is None


def test_our_own_errors_pass_through_the_block_as_they_are():
    with pytest.raises(InvalidInput), disk_errors(Path("/home")):
        raise InvalidInput("no")
    with pytest.raises(StorageFailed), disk_errors(Path("/home")):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_with_room_is_not_full(tmp_path):
    assert full_place(tmp_path / "not" / "there") is None


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_this_user_may_not_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StorageFailed, match="may not be written to by this user"):
        check_writable(tmp_path)


def test_a_failed_write_says_which_file(tmp_path):
    with pytest.raises(OSError, match=r"x\.json"), atomic_file(tmp_path / "x.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not any(tmp_path.iterdir())


def test_a_temporary_folder_without_room_or_in_the_current_folder_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert temporary_folder(1) == tmp_path
    assert temporary_folder(2**80) is None
    monkeypatch.chdir(tmp_path)
    assert temporary_folder(1) is None


def test_a_folder_in_place_of_a_file_is_named_and_not_the_temporary_file(tmp_path):
    (tmp_path / "state.json").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_file(tmp_path / "state.json") as partial:
        partial.write_text("x")
    found = system_error(caught.value, tmp_path, "another hint")
    assert found.headline == f"{tmp_path}/state.json is a folder, and Glocal keeps a file there."
    assert found.hint == "Move it away; then repeat the command."

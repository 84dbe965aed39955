"""Locks between processes."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import Conflict
from model.locks import hold, is_held, may_hold


def test_a_lock_that_is_held_is_a_conflict_and_a_dead_holder_lets_go(tmp_path):
    file = tmp_path / "deep" / "lock"
    with hold(file, wait_s=0, busy="x"), pytest.raises(Conflict, match="busy"), hold(file, wait_s=0.05, busy="busy"):
        pass
    code = f"import fcntl, os; fcntl.flock(open({str(file)!r}, 'a'), fcntl.LOCK_EX); print('held'); os.kill(os.getpid(), 9)"
    held = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert held.returncode == -9
    with hold(file, wait_s=0, busy="x"):
        pass


def test_a_lock_may_be_held_where_its_file_or_a_new_file_may_be_written(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "lock"
    assert may_hold(file)
    assert not file.parent.exists()
    with hold(file):
        assert may_hold(file)
    closed: set[Path] = {file}
    monkeypatch.setattr("os.access", lambda path, _mode: path not in closed)
    assert not may_hold(file)
    closed.add(tmp_path)
    assert not may_hold(tmp_path / "other" / "lock")


def test_many_look_at_once_at_a_lock_that_nobody_holds_and_none_of_them_sees_another_one(tmp_path):
    file = tmp_path / "lock"
    file.touch()
    until = time.monotonic() + 0.3

    def look():
        seen = set()
        while time.monotonic() < until:
            seen.add(is_held(file))
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert [future.result() for future in [pool.submit(look) for _ in range(4)]] == [{False}] * 4


def test_a_lock_without_a_file_or_with_a_folder_in_its_place_is_held_by_nobody(tmp_path):
    assert not is_held(tmp_path / "none")
    assert not is_held(tmp_path)
    with hold(tmp_path / "lock"):
        assert is_held(tmp_path / "lock")

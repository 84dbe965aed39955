"""The processes of a run end with it: real processes, and the one that started them is really killed."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from model.locks import hold
from pipelines.runners.group import end_group
from serving.processes import wait_until

LEADER = """
import subprocess, sys, time
from pathlib import Path
from pipelines.runners.group import end_with

end_with(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
print(child.pid, flush=True)
time.sleep(120)
"""
STARTER = """
import subprocess, sys
from pathlib import Path
from model.locks import hold

with hold(Path(sys.argv[1])):
    leader = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], start_new_session=True)
    print(leader.pid, flush=True)
    leader.wait()
"""


def lead(lock, **streams):
    return subprocess.Popen([sys.executable, "-c", LEADER, str(lock)], text=True, start_new_session=True, **streams)


def lives(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def group(pid):
    found = []
    for each in psutil.process_iter():
        try:
            if os.getpgid(each.pid) == pid and lives(each.pid):
                found.append(each.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.parametrize("early", [True, False], ids=["before its members are there", "in the middle of work"])
def test_a_group_ends_within_two_seconds_of_whoever_started_it(tmp_path, early):
    lock = tmp_path / "alive"
    with subprocess.Popen([sys.executable, "-c", STARTER, str(lock), LEADER], stdout=subprocess.PIPE, text=True) as starter:
        leader = int(starter.stdout.readline())
        if not early:
            int(starter.stdout.readline())  # the leader's child is there
        starter.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not group(leader), deadline_s=2.0), group(leader)


def test_a_leader_that_fails_before_its_watch_looked_leaves_nobody(tmp_path):
    (tmp_path / "alive").touch()
    unwatched = "import threading\nthreading.Thread.start = threading.Thread.join = lambda *_: None\n"
    program = unwatched + LEADER.replace("time.sleep(120)\n", "raise BrokenPipeError\n")
    command = [sys.executable, "-c", program, str(tmp_path / "alive")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as leader:
        child = int(leader.stdout.readline())
        assert "BrokenPipeError" in leader.stderr.read()
    assert wait_until(lambda: not lives(child), deadline_s=20)
    assert leader.returncode == -signal.SIGKILL


def test_a_group_whose_starter_is_gone_already_ends_at_once(tmp_path):
    lock = tmp_path / "alive"
    lock.touch()
    with lead(lock, stdout=subprocess.PIPE) as leader:
        assert wait_until(lambda: leader.poll() is not None, deadline_s=20)
    assert not group(leader.pid)


def test_a_leader_that_ends_while_its_starter_lives_ends_alone(tmp_path):
    program, streams = (
        LEADER.replace("time.sleep(120)\n", "sys.stdin.read()\n"),
        {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE},
    )
    command = [sys.executable, "-c", program, str(tmp_path / "alive")]
    with hold(tmp_path / "alive"), subprocess.Popen(command, text=True, start_new_session=True, **streams) as leader:
        child = int(leader.stdout.readline())
        leader.stdin.close()
        assert leader.wait() == 0
        assert lives(child)
    os.kill(child, signal.SIGKILL)


def test_ending_a_group_takes_its_members_with_it(tmp_path):
    with hold(tmp_path / "alive"), lead(tmp_path / "alive", stdout=subprocess.PIPE) as leader:
        child = int(leader.stdout.readline())
        end_group(leader)
        assert not lives(child)
        assert leader.returncode == -signal.SIGTERM


def test_a_group_that_ended_by_itself_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", ""], text=True, start_new_session=True) as leader:
        leader.wait()
        end_group(leader)
        assert leader.returncode == 0

"""Jobs on disk: one for each form, as many at once as its group lets, and its end is the truth."""

import signal
import subprocess
import sys

import psutil
import pytest

from model.claim import claim
from model.errors import Conflict, InvalidInput, NotFound, StorageFailed, Unavailable
from model.files import read_json, write_json
from model.home import Home
from model.locks import hold
from model.schemas.sent_file import SentFile
from pipelines.jobs import __main__ as process
from pipelines.jobs import job as jobs
from pipelines.jobs.data import compare_data, import_data
from pipelines.jobs.enrolment import enrol, revise
from pipelines.jobs.job import (
    ENDED,
    FILES,
    RESULT,
    begin_job,
    find_job,
    job_of,
    latest_jobs,
    new_key,
    read_jobs,
    refuse_beside,
    under_way,
)
from pipelines.jobs.kinds import KINDS
from pipelines.jobs.serving import SERVING, promote, stop_challenge
from serving.processes import wait_until
from tests.support.jobs import await_job, idle_jobs, kill


@pytest.fixture
def home(tmp_path):
    return claim(Home.at(tmp_path / "home"))


@pytest.fixture
def idle(monkeypatch):
    with idle_jobs(monkeypatch) as started:
        yield started


def revised(*corrections):
    return revise.asked(data="drawn", corrections=list(corrections) or ["x"])


def promoted(version="2"):
    return promote.asked(model="drawn", version=version, why="seen", instead_of="1")


def enrolled(label="x", data=b"x"):
    return enrol.asked(model="drawn", label=label, images=(SentFile.of("mine.png", data),))


def compared(after="b@2"):
    return compare_data.asked(before="a@1", after=after)


def test_a_job_that_fails_says_why_and_who_asked(home):
    job = await_job(home, begin_job(home, revised(), by="ana", key=new_key()))
    assert (job.state, job.record.by, job.doing) == ("failed", "ana", "accepting corrections into drawn")
    assert (job.ended.headline, job.ended.error) == ("There is no correction 'x'.", "not-found")
    with pytest.raises(NotFound):
        _ = job.result
    with pytest.raises(NotFound, match="no correction 'x'"):  # who waits for it is told the same error
        job.whole_status.outcome()


def test_a_job_that_succeeds_keeps_what_the_action_answers(home):
    job = await_job(home, begin_job(home, stop_challenge.asked(model="drawn"), by="ana"))
    assert (job.state, job.ended.headline) == ("succeeded", "No version was tried.")
    assert job.result == job.whole_status.outcome() == {"ended": None}


def test_files_are_given_to_the_action_and_not_kept(home):
    job = begin_job(home, enrolled(), by="ana")
    assert job.record.arguments["images"] == ["mine.png"]
    job = await_job(home, job)
    assert (job.state, job.ended.headline[:9]) == ("failed", "mine.png:")  # its bytes are no image
    assert not (job.folder / FILES).exists()


def test_the_reason_of_a_change_is_that_of_its_job(home, idle):
    assert begin_job(home, promoted(), by="ana").record.why == "seen"


def test_a_job_whose_process_is_gone_was_killed_and_its_files_go(home, idle):
    killed = begin_job(home, enrolled(), by="ana", key=new_key())
    assert (killed.folder / FILES / "0").read_bytes() == b"x"
    assert killed.runs
    kill(idle[0])
    assert find_job(home, killed.id).state == "killed"
    begin_job(home, revised(), by="ana", key=new_key())
    assert not (killed.folder / FILES).exists()


def test_another_process_with_its_number_is_not_the_jobs(home, idle):
    job = begin_job(home, compared(), by="ana")
    write_json(job.folder / "process.json", {"pid": 1})
    find_job(home, job.id).end()  # nothing: process 1 is not the job's
    kill(idle[0])
    assert find_job(home, job.id).state == "killed"


KILLED_BEFORE = """
import os, signal, sys
from model.home import Home
from pipelines.jobs import job
from pipelines.jobs.enrolment import revise

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(job, sys.argv[2], kill)
job.begin_job(Home.at(sys.argv[1]), revise.asked(data="drawn", corrections=["x"]), by="ana", key="0" * 16)
"""


def began_by_a_killed_dashboard(home, killed_before):
    """The job that a dashboard began which was killed just before it called this function."""
    words = [sys.executable, "-c", KILLED_BEFORE, str(home.root), killed_before]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    (job,) = latest_jobs(home, revise)
    return job


def test_a_job_whose_dashboard_was_killed_before_it_started_the_process_is_killed_at_once(home):
    assert began_by_a_killed_dashboard(home, "start_detached").state == "killed"


def test_a_job_whose_dashboard_was_killed_just_after_goes_on_and_says_so(home):
    job = began_by_a_killed_dashboard(home, "write_json")
    assert job.runs
    assert await_job(home, job).ended.headline == "There is no correction 'x'."


def test_a_form_that_is_sent_twice_is_one_job(home, idle):
    key = new_key()
    one = begin_job(home, enrolled(), by="ana", key=key)
    assert begin_job(home, enrolled(), by="ana", key=key) == one
    assert len(idle) == 1
    for other in (enrolled("y"), enrolled(data=b"y")):
        with pytest.raises(Conflict, match="sent before"):
            begin_job(home, other, by="ana", key=key)
    for none in ("", "../x", "k" * 16):
        with pytest.raises(InvalidInput):
            begin_job(home, revised(), by="ana", key=none)


def test_what_was_killed_is_begun_anew_by_the_same_form(home, idle):
    key = new_key()
    one = begin_job(home, revised(), by="ana", key=key)
    kill(idle[0])
    other = begin_job(home, revised(), by="bob", key=key)
    assert (other.runs, other.record.by, find_job(home, one.id).state) == (True, "bob", "killed")


def test_a_form_is_one_job_also_after_the_clock_went_back_and_beside_a_damaged_one(home, idle):
    key = new_key()
    killed = begin_job(home, revised(), by="ana", key=key)
    kill(idle[0])
    killed.folder.rename(killed.folder.with_name("99990101T000000000" + killed.folder.name[18:]))
    again = begin_job(home, revised(), by="ana", key=key)
    assert begin_job(home, revised(), by="ana", key=key) == again
    (again.folder / "job.json").write_text("{")
    assert begin_job(home, revised(), by="ana", key=key).runs


def test_a_job_without_a_record_is_one_that_cannot_be_read_and_one_that_is_being_begun_is_none(home, idle):
    begun = begin_job(home, revised(), by="ana")
    (begun.folder / "job.json").unlink()
    found, unreadable = read_jobs(home, revise)
    assert (found, [each.path for each in unreadable]) == ([], [str(begun.folder)])
    assert "job.json" in unreadable[0].why
    (begun.folder / "process.json").unlink()
    assert read_jobs(home, revise) == ([], [])


def test_without_a_key_the_same_arguments_are_one_job_where_the_result_is_always_the_same(home, idle):
    assert begin_job(home, revised(), by="ana") != begin_job(home, revised(), by="ana")
    one = begin_job(home, compared(), by="ana")
    assert begin_job(home, compared(), by="bob") == one == job_of(home, compared())
    assert job_of(home, compared("c@3")) is None


def test_one_change_of_what_serves_is_made_at_a_time_and_a_second_person_is_told_by_whom(home, idle):
    begin_job(home, promoted(), by="ana", key=new_key())
    with pytest.raises(Conflict, match="ana is promoting version 2 of drawn, since") as refused:
        begin_job(home, promoted("3"), by="bob", key=new_key())
    assert "One change is made at a time" in refused.value.hint
    begin_job(home, compared(), by="bob")  # of another group
    kill(idle[0])
    assert under_way(home, SERVING) is None
    begin_job(home, promoted("3"), by="bob", key=new_key())


def test_a_change_waits_for_no_deployment_of_others(home):
    with hold(home.serve.deploy_lock), pytest.raises(Conflict, match="of a run, of the command line"):
        refuse_beside(home, SERVING)


def test_two_jobs_on_data_are_done_at_once(home, idle):
    begin_job(home, compared("b@2"), by="ana")
    begin_job(home, import_data.asked(source="/x", settings=[]), by="bob", key=new_key())
    with pytest.raises(Conflict, match=r"bob is importing /x, since .*; ana is comparing a@1 with b@2, since"):
        begin_job(home, compared("c@3"), by="eve")


def test_enrolments_wait_for_each_other(home):
    with hold(home.dashboard.jobs / ".enrolment"):
        job = begin_job(home, revised(), by="ana", key=new_key())
        assert wait_until(lambda: find_job(home, job.id).steps, deadline_s=60)
        assert [(step.name, step.state) for step in find_job(home, job.id).steps] == [("wait", "waiting")]
    assert await_job(home, job).steps == ()


def test_the_latest_of_a_group_are_kept_and_listed_first(home, idle, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 2)
    first = begin_job(home, revised("1"), by="ana", key=new_key())
    other = begin_job(home, promoted(), by="ana", key=new_key())
    kill(idle[0])
    kill(idle[1])
    later = [begin_job(home, revised(str(number)), by="ana", key=new_key()).id for number in range(2, 4)]
    assert [each.id for each in latest_jobs(home, revise)] == later[::-1]
    assert [each.id for each in latest_jobs(home, revise, most=1)] == later[1:]
    assert not first.folder.exists()
    assert find_job(home, other.id).state == "killed"  # of another group, which has room
    assert latest_jobs(home, enrol) == []


def test_a_job_on_data_is_ended_by_a_person_and_a_change_of_what_serves_is_not(home, idle):
    job = begin_job(home, compared(), by="ana")
    job.end()
    assert find_job(home, job.id).state == "killed"
    with pytest.raises(Conflict, match="cannot be left half done"):
        begin_job(home, promoted(), by="ana", key=new_key()).end()


def test_a_job_that_ends_while_the_disk_is_full_is_what_it_was_once_there_is_room(home, monkeypatch):
    """What it changed stays changed: it neither failed nor was it killed."""
    job, full = (
        home.dashboard.jobs / "20260101T000000000-end-challenge-0123456789abcdef",
        [OSError(28, "no room"), StorageFailed("x")],
    )
    job.mkdir(parents=True)
    record = {"kind": "end-challenge", "arguments": {"model": "drawn"}, "doing": "x", "by": "ana"}
    write_json(job / "job.json", {"format": 1, **record, "at": "2026-01-01T00:00:00Z"})

    def write(path, value):
        if full:
            raise full.pop()
        write_json(path, value)

    monkeypatch.setattr(process, "write_json", write)
    monkeypatch.setattr(process, "_AGAIN_S", 0.0)
    monkeypatch.setattr("sys.argv", ["x", str(job)])
    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    process.main()
    ended = find_job(home, job.name)
    assert (ended.state, ended.result, full) == ("succeeded", {"ended": None}, [])


def test_a_process_that_cannot_be_started_leaves_no_job(home, monkeypatch):
    def fail(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(jobs, "start_detached", fail)
    with pytest.raises(Unavailable, match="no more processes"):
        begin_job(home, revised(), by="ana", key=new_key())
    assert latest_jobs(home, revise) == []


def test_a_signal_leaves_a_job_killed(home):
    with hold(home.dashboard.jobs / ".enrolment"):
        job = begin_job(home, revised(), by="ana", key=new_key())
        assert wait_until(lambda: find_job(home, job.id).steps, deadline_s=60)
        process = psutil.Process(read_json(job.folder / "process.json")["pid"])
        process.terminate()
        assert wait_until(lambda: not find_job(home, job.id).runs, deadline_s=30)
    assert find_job(home, job.id).state == "killed"
    assert not (job.folder / ENDED).exists()


def test_a_damaged_result_is_said_to_be_damaged(home, idle):
    job = begin_job(home, compared(), by="ana")
    for damaged in (b"[1]", b"{"):
        (job.folder / RESULT).write_bytes(damaged)
        with pytest.raises(InvalidInput, match="damaged"):
            _ = job.result


def test_what_is_damaged_is_left_out_of_the_list(home, idle):
    one, other = (begin_job(home, revised(each), by="ana", key=new_key()) for each in "xy")
    (one.folder / "job.json").write_text("{")
    assert [each.id for each in latest_jobs(home, revise)] == [other.id]
    with pytest.raises(InvalidInput, match="damaged"):
        find_job(home, one.id)


@pytest.mark.parametrize("name", ["", "..", "x", ".lock", "20200101T000000000-revise-" + "0" * 16, "a" * 99])
def test_what_is_no_job_is_not_found(home, name):
    with pytest.raises(NotFound):
        find_job(home, name)


def test_arguments_are_those_of_the_kind():
    with pytest.raises(InvalidInput, match="version"):
        promote.asked(model="drawn", why="seen")
    with pytest.raises(InvalidInput, match="whose"):
        promote.asked(model="drawn", version="2", why="seen", whose="x")
    with pytest.raises(InvalidInput, match="corrections"):
        revise.asked(data="drawn", corrections="x")
    named = {"model": "drawn", "version": "2", "why": "seen"}
    assert promoted().arguments == {**named, "replace_other_data": False, "instead_of": "1"}


def test_every_kind_is_listed_under_its_name_and_says_what_it_does():
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.doing.format_map(dict.fromkeys(kind._arguments.model_fields, "x"))

"""A home whose server of models is replaced by the other one: what is on record serves on, and all that is done to it works."""

import os
import signal
from datetime import UTC, datetime

import psutil
import pytest

from model.files import read_json
from model.schemas.challenge import Challenge
from serving import backends, server
from serving.challenging import start_challenge, stop_challenge
from serving.processes import wait_until
from serving.reconcile import server_status, start_server
from tests.support.promotions import answers, assert_one_truth, said, to

pytestmark = pytest.mark.integration

NAME = "drawn"


@pytest.fixture(scope="module")
def other(home, releases):
    """Version 1 was deployed under the default server and serves under the other one; returns what the start said."""
    to(home, "1", NAME)
    assert server.status(home).backend == "torchserve"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GLOCAL_BACKEND", "litserve")
        yield start_server(home, home.tracking_uri)


def main_process(home):
    """The process of the version that serves."""
    found = [each for each in psutil.process_iter() if {"serving.backends.litserve"} <= set(_words(each))]
    (process,) = [each for each in found if str(home.root) in " ".join(_words(each)) and os.getsid(each.pid) == each.pid]
    return process


def test_what_is_on_record_serves_under_the_other_server(home, registry, releases, other):
    assert "The server of models was torchserve, and GLOCAL_BACKEND is litserve." in said(other.differences)
    assert (other.state, other.backend, other.fault) == ("serving", "litserve", None)
    assert not backends.named("torchserve").runs(home.serve)
    assert_one_truth(home, NAME, "1", releases[0])
    assert server_status(home, home.tracking_uri).differences == ()
    assert start_server(home, home.tracking_uri).differences == ()


def test_whatever_the_setting_of_another_command_is_it_finds_what_runs(home, releases, other, monkeypatch):
    monkeypatch.delenv("GLOCAL_BACKEND")
    to(home, "2", NAME)
    assert_one_truth(home, NAME, "2", releases[1])
    to(home, "1", NAME)
    assert server_status(home, home.tracking_uri).backend == "litserve"


def test_a_version_is_tried_and_the_trial_ended(home, releases, other):
    terms = Challenge(mode="canary", share=1, max_latency_ratio=1000, started=datetime.now(UTC))
    assert start_challenge("2", terms, home=home, tracking_uri=home.tracking_uri, name=NAME).ready
    assert answers(home, NAME) == ("2", releases[1].id)
    assert stop_challenge(home, NAME) == "2"
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_version_whose_process_was_killed_is_reported_and_brought_back(home, releases, other):
    os.kill(main_process(home).pid, signal.SIGKILL)
    assert wait_until(lambda: server.status(home).missing == (NAME,), deadline_s=20)
    assert server.status(home).fault.exit_code == 5
    assert start_server(home, home.tracking_uri).fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_after_a_stop_nothing_runs_and_a_start_with_the_first_server_serves_the_same(home, releases, other, monkeypatch):
    assert server.stop(home)
    assert [each.pid for each in psutil.process_iter() if str(home.root) in " ".join(_words(each))] == []
    assert server.status(home).state == "stopped"
    assert read_json(home.serve.deployed)[NAME]["version"] == "1"
    monkeypatch.delenv("GLOCAL_BACKEND")
    started = start_server(home, home.tracking_uri)
    assert (started.backend, started.fault) == ("torchserve", None)
    assert_one_truth(home, NAME, "1", releases[0])


def _words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []

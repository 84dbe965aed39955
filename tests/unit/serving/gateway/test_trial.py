"""When a challenge must be aborted."""

from datetime import UTC, datetime

import pytest

from model.schemas.challenge import Challenge
from serving.backends.port import Served
from serving.gateway.trial import FEWEST, KNOWN, MAX_PATIENCE_S, MIN_PATIENCE_S, WINDOW, Challenger, Trial

LIKE, OTHER = ("search", 1), ("detect", 1)


@pytest.fixture
def trial():
    terms = Challenge(mode="shadow", share=1, max_error_rate=0.1, max_latency_ratio=2, started=datetime(2026, 1, 1, tzinfo=UTC))
    return Trial(Challenger(Served("mugs", "2"), terms))


def answered(trial, times, *, ours=1.0, theirs=1.0, like=LIKE):
    for _ in range(times):
        trial.champion_took(like, ours)
        trial.answered(like, theirs)


def test_as_many_failures_as_are_allowed_are_no_fault_and_one_more_is(trial):
    answered(trial, 18)
    for _ in range(2):
        trial.failed()
    assert trial.fault() == ""
    trial.failed()
    assert trial.fault() == "3 of its last 21 requests failed, a share of more than 0.1."


def test_too_few_requests_are_not_judged(trial):
    for _ in range(FEWEST - 1):
        trial.failed()
    assert trial.fault() == ""
    trial.failed()
    assert trial.fault()


def test_failures_of_long_ago_are_forgotten(trial):
    for _ in range(FEWEST - 1):
        trial.failed()
    answered(trial, WINDOW)
    assert trial.fault() == ""


def test_a_challenger_that_takes_too_long_is_a_fault(trial):
    answered(trial, WINDOW, ours=0.1, theirs=0.2)
    assert trial.fault() == ""
    answered(trial, WINDOW, ours=0.1, theirs=0.25)
    assert trial.fault() == "It takes 2.5 times as long as the champion, more than 2."


def test_the_time_for_one_request_follows_from_the_champions_within_limits(trial):
    assert trial.patience_s(LIKE) is None
    answered(trial, 3, ours=0.5)
    assert trial.patience_s(LIKE) == 5  # five times twice as long
    assert trial.patience_s(OTHER) is None
    answered(trial, 3, ours=60, like=OTHER)
    assert trial.patience_s(OTHER) == MAX_PATIENCE_S
    answered(trial, WINDOW, ours=0.001)
    assert trial.patience_s(LIKE) == MIN_PATIENCE_S


def test_a_few_requests_of_the_champion_are_no_measure_of_the_challenger(trial):
    answered(trial, KNOWN - 1, ours=0.1, theirs=0.1)
    for _ in range(WINDOW):
        trial.answered(LIKE, 1000)
    assert trial.fault() == ""
    answered(trial, FEWEST, ours=0.1, theirs=1000)
    assert "times as long" in trial.fault()


def test_only_requests_that_are_alike_are_compared_in_time(trial):
    answered(trial, WINDOW, ours=0.1, theirs=0.1)
    answered(trial, WINDOW, ours=5, theirs=5, like=OTHER)
    assert trial.fault() == ""
    for _ in range(WINDOW):
        trial.answered(("embed", 1), 1000)  # the champion was never asked the like
    assert trial.fault() == ""

"""The series of releases: none is kept for ever, and none is dropped while anybody may want it."""

import pytest

from model.errors import Unavailable
from model.schemas.calibration import BINS, Reference
from serving.backends.port import Served
from serving.gateway import metrics as module
from serving.gateway.challenge_metrics import ChallengeMetrics
from serving.gateway.comparison import Comparison
from serving.gateway.drift import FEWEST, Drift
from serving.gateway.metrics import GONE_S, Metrics
from serving.gateway.room import Room

REFERENCE = Reference(queries=100, best_score=(100, *[0] * (BINS - 1)), margin=(100, *[0] * (BINS - 1)), unknown=0)


def served(version, name="mugs"):
    return Served(name, version, f"release-{version}", "space", reference=REFERENCE)


class Gateway:
    """All metrics of a gateway, under a clock of our own."""

    def __init__(self, monkeypatch):
        self.now, self.current = 1000.0, []
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self.drift, self.challenges = Drift(), ChallengeMetrics(tuple)
        self.metrics = Metrics(Room(), self.serving, self.drift, self.challenges)

    def serving(self):
        if self.current is None:
            raise Unavailable("What serves is not known now.")
        return self.current

    def answer(self, version):
        one = served(version)
        answers = [{"release": one.release, "score": 0.5, "margin": 0.1, "known": True}] * FEWEST
        self.metrics.answered("identify", answers)
        self.drift.note(one, "identify", answers)
        self.challenges.answered(one, "identify", 0.1)
        self.challenges.compared(one, "identify", Comparison(1.0, 0.0))

    def pass_by(self, seconds):
        """Time, and then a request, such as of whoever reads the metrics."""
        self.now += seconds
        self.metrics.request("other", 200, 0.001)

    def named(self):
        """The versions of which there is any series."""
        text = self.metrics.text().decode()
        return {version for version in "1234" if f'release="release-{version}"' in text or f'version="{version}"' in text}


@pytest.fixture
def gateway(monkeypatch):
    return Gateway(monkeypatch)


def test_the_series_of_a_release_that_neither_serves_nor_is_tried_are_dropped_some_time_after_its_last_answer(gateway):
    gateway.current = [served("1")]
    gateway.answer("1")
    gateway.answer("2")
    assert gateway.named() == {"1", "2"}
    gateway.pass_by(GONE_S - 1)
    assert gateway.named() == {"1", "2"}
    gateway.pass_by(GONE_S)
    assert gateway.named() == {"1"}
    assert set(gateway.drift.distances()) == {"release-1"}
    gateway.current = [served("2")]
    gateway.pass_by(GONE_S)
    assert "release-" not in gateway.metrics.text().decode()


def test_there_is_no_series_beside_those_that_are_named(gateway):
    gateway.answer("1")
    assert "_created" not in gateway.metrics.text().decode()


def test_what_is_asked_on_is_kept_though_it_is_not_on_record(gateway):
    gateway.answer("3")
    for _ in range(5):
        gateway.pass_by(GONE_S - 1)
        gateway.answer("3")
    assert gateway.named() == {"3"}


def test_counts_begin_anew_after_a_release_was_dropped_and_comes_back(gateway):
    gateway.answer("1")
    gateway.pass_by(GONE_S + 1)
    gateway.answer("1")
    assert f'glocal_identified_total{{known="true",release="release-1"}} {FEWEST}.0' in gateway.metrics.text().decode()


def test_nothing_is_dropped_while_it_is_not_known_what_serves_and_the_request_is_counted(gateway):
    gateway.answer("1")
    gateway.current = None
    gateway.pass_by(10 * GONE_S)
    assert gateway.named() == {"1"}
    assert 'glocal_requests_total{operation="other",status="200"} 1.0' in gateway.metrics.text().decode()


def test_many_rollouts_leave_few_series_whether_anybody_reads_them_or_not(gateway):
    for number in range(200):
        gateway.current = [Served("mugs", str(number), f"release-{number}", "space", reference=REFERENCE)]
        gateway.answer(str(number))
        gateway.pass_by(60.5)
    assert gateway.metrics.text().count(b"glocal_best_score_count{") <= GONE_S / 60 + 1

"""What the metrics of a gateway say of a challenge: hand-made series, as prometheus_client writes them."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from model.errors import Unavailable
from model.home import Home
from serving import challenge_progress as progress
from serving.backends.port import Served
from serving.gateway.challenge_metrics import ChallengeMetrics
from serving.gateway.comparison import Comparison

CHAMPION, CHALLENGER = Served("birds", "1"), Served("birds", "2")


@pytest.fixture
def written(monkeypatch):
    """The text of real metrics: three answers of the challenger to searches, one failure, and one answer of another model."""
    metrics, registry = ChallengeMetrics(list), CollectorRegistry()
    registry.register(metrics)
    for seconds, agreement, shift in ((0.2, 1.0, -0.03), (0.4, 0.5, -0.03), (0.6, 0.0, 0.3)):
        metrics.answered(CHALLENGER, "search", seconds)
        metrics.compared(CHALLENGER, "search", Comparison(agreement=agreement, shift=shift))
        metrics.took(CHAMPION, "search", 0.1)
    metrics.failed(CHALLENGER, "verify")
    metrics.answered(Served("cards", "2"), "search", 9.0)
    monkeypatch.setattr(progress, "_metrics", lambda *_: generate_latest(registry).decode())


def read():
    return progress.challenge_progress(Home.at("none").serve, "", "birds", version="2", champion="1")


def test_each_operation_has_its_counts_and_means(written):
    found = read()
    assert list(found) == ["search", "verify"]
    search = found["search"]
    assert (search.answered, search.failed, search.compared) == (3, 0, 3)
    assert search.agreement == pytest.approx(0.5)
    assert search.seconds == pytest.approx(0.4)
    assert search.champion_seconds == pytest.approx(0.1)
    assert (found["verify"].failed, found["verify"].agreement) == (1, None)


def test_the_shift_is_the_median_within_its_bucket(written):
    assert read()["search"].shift == pytest.approx(-0.05 + 0.75 * 0.03)  # 1.5 of the 2 in the bucket from -0.05 to -0.02


def test_a_gateway_that_does_not_answer_is_said_to_be_away(tmp_path):
    with pytest.raises(Unavailable, match="does not tell its metrics"):
        progress.challenge_progress(Home.at(tmp_path).serve, "http://127.0.0.1:9", "birds", version="2", champion="1")

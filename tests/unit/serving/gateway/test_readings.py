"""What is read out of a gateway's metrics: rates, quantiles and drift, with expectations computed by hand."""

import pytest

from model.errors import Unavailable
from model.home import Home
from serving.gateway.drift import Drift
from serving.gateway.metrics import Metrics
from serving.gateway.readings import Reading, Served, between, parse_metrics, rates, read_metrics, slowest
from serving.gateway.room import Room

INF = float("inf")


def served(*within, statuses=None):
    bounds = (0.1, 0.2, 0.4, INF)
    return Served(statuses or {"200": float(within[-1])}, bounds, tuple(float(each) for each in within))


def test_a_quantile_is_interpolated_in_its_bucket():
    each = served(10, 30, 40, 40)
    assert each.quantile(0.5) == pytest.approx(0.15)  # the 20th of 40: half way through the bucket from 0.1 to 0.2
    assert each.quantile(0.25) == pytest.approx(0.1)
    assert each.quantile(1.0) == pytest.approx(0.4)


def test_times_beyond_the_last_bound_are_said_to_be_at_least_that():
    assert served(0, 0, 1, 10).quantile(0.99) == 0.4


def test_without_answers_there_is_no_quantile():
    assert Served().quantile(0.5) is None
    assert served(0, 0, 0, 0).quantile(0.5) is None


def test_what_happened_between_two_readings_is_their_difference():
    earlier, later = served(10, 20, 20, 20), served(10, 60, 60, 60)
    now = later.since(earlier)
    assert now.asked == 40
    assert now.quantile(0.5) == pytest.approx(0.15)


def test_a_gateway_that_was_started_anew_counts_from_nothing():
    assert served(1, 2, 2, 2).since(served(5, 9, 9, 9)).asked == 2


def test_refusals_for_want_of_room_and_faults_are_failures_and_bad_images_are_not():
    each = Served({"200": 5, "422": 3, "429": 2, "503": 1})
    assert (each.asked, each.failed) == (11, 3)


def test_rates_and_the_slowest_operation_over_time():
    readings = [
        Reading(0.0, {"search": served(0, 0, 0, 0)}, {}, {}),
        Reading(10.0, {"search": served(20, 20, 20, 20), "detect": served(0, 0, 10, 10)}, {}, {}),
        Reading(20.0, {"search": served(20, 20, 20, 20), "detect": served(0, 0, 10, 10)}, {}, {}),
    ]
    assert rates(readings) == [(10.0, 3.0), (20.0, 0.0)]
    assert slowest(readings, 0.5) == [(10.0, pytest.approx(0.3)), (20.0, None)]
    assert between(readings[0], readings[1])["detect"].asked == 10


def test_the_metrics_of_the_gateway_are_read_back():
    metrics = Metrics(Room(), list, Drift())
    for seconds in (0.004, 0.004, 0.09):
        metrics.request("search", 200, seconds)
    metrics.request("search", 503, 1.0)
    metrics.request("other", 200, 0.001)
    metrics.answered("identify", [{"release": "r", "known": True, "margin": 0.2, "score": 0.9}])
    metrics.answered("identify", [{"release": "r", "known": False, "margin": None, "score": 0.1}])
    reading = parse_metrics(metrics.text().decode(), 7.0)
    assert list(reading.operations) == ["search"]  # requests for the metrics themselves are left out
    assert (reading.operations["search"].asked, reading.operations["search"].answered) == (4, 3)
    assert reading.operations["search"].quantile(0.5) == pytest.approx(0.00375)
    assert reading.identified == {"r": (1, 1)}
    assert reading.at == 7.0


def test_drift_is_read_with_its_chance():
    text = 'glocal_drift_psi{release="r",what="margin"} 0.5\nglocal_drift_p_value{release="r",what="margin"} 0.001\n'
    assert parse_metrics(text, 0).drift["r"]["margin"].has_moved


def test_a_gateway_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        read_metrics(Home.at(tmp_path).serve, "http://127.0.0.1:9", 0.0, timeout_s=1)

from datetime import UTC, datetime

from model.schemas.promotion import Promotion
from serving.history import served_at

FIELDS = {"by": "ann", "why": "", "before": "", "release": ""}
HISTORY = [
    Promotion(id="1", model="birds", when=1_000, ended=2_000, version="1", outcome="promoted", **FIELDS),
    Promotion(id="2", model="birds", when=3_000, ended=4_000, version="2", outcome="failed", **FIELDS),
    Promotion(id="3", model="cards", when=3_500, ended=9_000, version="7", outcome="promoted", **FIELDS),
    Promotion(id="4", model="birds", when=5_000, ended=6_000, version="3", outcome="promoted", **FIELDS),
    Promotion(id="5", model="birds", when=7_000, version="4", outcome="begun", **FIELDS),
]


def served(second):
    return [(entry.model, entry.version) for entry in served_at(HISTORY, datetime.fromtimestamp(second, UTC))]


def test_at_each_moment_the_last_promotion_that_succeeded_before_it_serves():
    assert served(1.5) == []
    assert served(2) == [("birds", "1")]
    assert served(5.9) == [("birds", "1")]
    assert served(6) == [("birds", "3")]
    assert served(8.9) == [("birds", "3")]
    assert served(9) == [("birds", "3"), ("cards", "7")]

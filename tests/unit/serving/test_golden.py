"""Golden answers compared."""

from collections import Counter

import pytest

from model.errors import GlocalError
from model.files import write_json
from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold
from serving.engine.engine import Engine
from serving.golden import replay_golden, same_neighbours
from serving.operations import OPERATIONS
from serving.operations.query import make_query
from tests.support.detection import add_exemplars
from tests.support.releases import make_parts, reseal


def neighbours(*pairs):
    return [{"id": name, "label": name, "score": score} for name, score in pairs]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4)), True),
        (neighbours(("a", 0.9015), ("b", 0.499), ("c", 0.4)), True),
        (neighbours(("a", 0.903), ("b", 0.5), ("c", 0.4)), False),  # another score
        (neighbours(("b", 0.9), ("a", 0.5), ("c", 0.4)), False),  # another order, no tie
        (neighbours(("a", 0.9), ("b", 0.5), ("d", 0.4)), True),  # tied with the last that was kept
        (neighbours(("a", 0.9), ("d", 0.5), ("c", 0.4)), False),  # unknown, and no tie with the last
        (neighbours(("a", 0.9), ("b", 0.5)), False),
    ],
)
def test_golden_answers_agree_up_to_ties_and_tolerance(found, same):
    assert same_neighbours(found, neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4))) is same


def test_tied_neighbours_may_change_places():
    assert same_neighbours(neighbours(("b", 0.5), ("a", 0.5)), neighbours(("a", 0.5), ("b", 0.5)))


def reranked(*answers):
    return [{"id": name, "label": name, "score": score, "inliers": inliers} for name, score, inliers in answers]


GOLDEN = reranked(("a", 0.6, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0))


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (GOLDEN, True),
        (reranked(("a", 0.601, 38), ("b", 0.65, 13), ("c", 0.62, 8), ("d", 0.6, 4)), True),  # a few matches more or less
        (reranked(("a", 0.6, 40), ("c", 0.62, 13), ("b", 0.65, 8), ("d", 0.6, 0)), True),  # so few that two change places
        (reranked(("a", 0.6, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("e", 0.61, 0)), True),  # as good as the last that was kept
        (reranked(("b", 0.65, 12), ("a", 0.6, 40), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # another order
        (reranked(("a", 0.61, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # another score
        (reranked(("a", 0.6, 40), ("b", 0.65, 12), ("e", 0.62, 9), ("d", 0.6, 0)), False),  # unknown, and better than the last
        (reranked(("a", 0.6, 34), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # fewer matches
        (neighbours(("a", 0.6), ("b", 0.65), ("c", 0.62), ("d", 0.6)), False),  # the version does not re-rank
    ],
)
def test_reranked_answers_agree_up_to_a_few_matches(found, same):
    assert same_neighbours(found, GOLDEN) is same


class Answering:
    """A client of an engine in this process, whose answers may be changed; it remembers which operations were asked."""

    address = "here"

    def __init__(self, engine):
        self.engine, self.changes, self.asked = engine, {}, []

    def __getattr__(self, operation):
        def ask(*images, **options):
            k = {"k": images[1]} if operation == "search" else {}
            images = [image.read_bytes() for image in (images[:1] if operation == "search" else images)]
            del options["model"], options["version"]
            self.asked.append(operation)
            answer = self.engine.answer(make_query(operation, images, options | k))
            return OPERATIONS[operation].answer.model_validate(answer | self.changes.get(operation, {}))

        return ask


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A release that offers every operation."""
    parts = make_parts(tmp_path_factory.mktemp("golden") / "parts")
    add_exemplars(parts)
    calibration = Calibration(
        verify={"0.1": VerifyThreshold(threshold=0.5, true_accept_rate=1)}, identify={"0.1": IdentifyThreshold(threshold=0.5)}
    )
    write_json(parts / "calibration.json", calibration.model_dump())
    return reseal(parts, parts.with_name("release"))


@pytest.fixture
def client(whole):
    return Answering(Engine(whole.folder, version="1"))


def test_every_operation_that_the_release_offers_is_replayed(whole, client):
    assert replay_golden(whole, client, "mugs", "1") == 2
    assert Counter(client.asked) == dict.fromkeys(OPERATIONS, 2) | {"detect": 1}  # whose answer is not compared


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("search", {"neighbours": []}),
        ("embed", {"embedding": (1.0,)}),
        ("identify", {"score": 0.1}),
        ("identify", {"known": False}),
        ("verify", {"score": -0.9, "same": False}),
        *((name, {"release": "another"}) for name in OPERATIONS),
    ],
)
def test_one_wrong_answer_refuses_the_version(whole, client, operation, change):
    client.changes = {operation: change}
    with pytest.raises(GlocalError, match=rf"does not answer golden query 0.png \({operation}\)"):
        replay_golden(whole, client, "mugs", "1")

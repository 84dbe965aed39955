"""Shadow and canary over a backend in the same process, by HTTP and in the gateway's own loop."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from model.errors import Conflict, InvalidInput, Unavailable
from model.home import Home
from model.schemas.challenge import Challenge
from serving.backends.port import Served
from serving.gateway.aborted import read_aborted
from serving.gateway.app import Models, make_app
from serving.gateway.batches import Batches
from serving.gateway.challenge import MAX_MIRRORED, Challenges, is_chosen
from serving.gateway.keys import KeyFile, Scope, create_key
from serving.gateway.room import Room
from serving.gateway.trial import FEWEST, KNOWN, Challenger
from serving.limits import MAX_BODY
from serving.operations.query import make_query
from tests.support.releases import draw_image

CHAMPION, CHALLENGER = Served("mugs", "1"), Served("mugs", "2")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = draw_image(1)


class Versions:
    """A backend in which each version answers with its own number, or fails as it is told."""

    def __init__(self):
        self.asked, self.errors, self.refusals, self.seconds = [], {}, {}, {}

    async def ask(self, served, queries):
        self.asked.append(served.version)
        await asyncio.sleep(self.seconds.get(served.version, 0))
        if served.version in self.errors:
            raise self.errors[served.version]
        refusal = self.refusals.get(served.version)
        return [refusal or self.answer(served.version) for _ in queries]

    def answer(self, version):
        named = {"release": f"r{version}", "embedding_space_id": "s", "model_version": version}
        return {"neighbours": [{"id": "a", "label": "a", "score": 0.5}, {"id": version, "label": "b", "score": 0.25}], **named}

    async def ready(self, served):
        return True


def challenger(mode, share=1.0, *, started=MOMENT, **limits):
    return Challenger(CHALLENGER, Challenge(mode=mode, share=share, started=started, **limits))


@pytest.fixture
def backend():
    return Versions()


@pytest.fixture
def known():
    """The challengers on record."""
    return {}


@pytest.fixture
def aborted(tmp_path):
    return tmp_path / "aborted.json"


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def challenges(backend, known, aborted, room):
    return Challenges(backend, lambda: known, aborted, room)


def ask(challenges, times=1, key="1f2e3d4c"):
    """Ask one after the other, each after what was mirrored has ended; returns the versions that answered."""

    async def asked():
        answers = []
        for _ in range(times):
            (answer,) = await challenges.ask(CHAMPION, [make_query("search", [IMAGE])], key)
            await asyncio.gather(*challenges._mirrored)
            answers.append(answer)
        return answers

    return [answer if isinstance(answer, Exception) else answer["model_version"] for answer in asyncio.run(asked())]


def text(challenges):
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(challenges.metrics)
    return generate_latest(registry).decode()


LABELS = 'model="mugs",operation="search",version="2"'


def test_the_share_of_keys_is_chosen_for_good_and_a_larger_share_keeps_them():
    keys = [f"{number:08x}" for number in range(4000)]
    few, many = ({key for key in keys if is_chosen(key, "mugs", share)} for share in (0.05, 0.2))
    assert few < many
    assert 0.04 < len(few) / len(keys) < 0.06
    assert 0.18 < len(many) / len(keys) < 0.22
    assert few != {key for key in keys if is_chosen(key, "bags", 0.05)}
    assert all(is_chosen(key, "mugs", 1) for key in keys)
    assert not any(is_chosen(key, "mugs", 0) for key in keys)


def test_without_a_challenger_the_champion_answers(challenges, backend):
    assert ask(challenges) == ["1"]
    assert backend.asked == ["1"]


def test_a_shadow_is_asked_after_the_champion_and_its_answers_are_compared_and_not_returned(challenges, backend, known):
    known["mugs"] = challenger("shadow")
    assert ask(challenges, 2) == ["1", "1"]
    assert backend.asked == ["1", "2"] * 2
    said = text(challenges)
    assert 'glocal_challenge_requests_total{model="mugs",operation="search",outcome="answered",version="2"} 2.0' in said
    assert f"glocal_challenge_agreement_sum{{{LABELS}}} 1.0" in said  # half of the neighbours, twice
    assert f"glocal_challenge_agreement_count{{{LABELS}}} 2.0" in said
    assert f'glocal_challenge_score_shift_bucket{{le="-0.01",{LABELS}}} 0.0' in said
    assert f'glocal_challenge_score_shift_bucket{{le="0.0",{LABELS}}} 2.0' in said
    assert f"glocal_challenge_seconds_count{{{LABELS}}} 2.0" in said
    assert f"glocal_challenge_seconds_count{{{LABELS.replace('2', '1')}}} 2.0" in said
    assert 'glocal_challenge_share{mode="shadow",model="mugs",version="2"} 1.0' in said


def test_a_share_of_none_mirrors_none(challenges, backend, known):
    known["mugs"] = challenger("shadow", 0)
    ask(challenges, 3)
    assert backend.asked == ["1"] * 3


def test_a_shadow_that_hangs_delays_nobody_and_what_finds_no_place_is_skipped(challenges, backend, known):
    known["mugs"] = challenger("shadow")
    backend.seconds["2"] = 3600

    async def asked():
        for _ in range(MAX_MIRRORED + 2):
            await asyncio.wait_for(challenges.ask(CHAMPION, [make_query("search", [IMAGE])], "k"), 1)
        await asyncio.sleep(0)
        assert len(challenges._mirrored) == MAX_MIRRORED

    asyncio.run(asked())
    assert backend.asked.count("2") == MAX_MIRRORED
    skipped = 'glocal_challenge_requests_total{model="mugs",operation="search",outcome="skipped",version="2"} 2.0'
    assert skipped in text(challenges)


def test_a_canary_answers_its_keys_each_time_and_the_champion_the_others(challenges, known):
    known["mugs"] = challenger("canary", 0.5)
    keys = [f"{number:08x}" for number in range(20)]
    by_key = {key: ask(challenges, 2, key) for key in keys}
    assert by_key == {key: ["2" if is_chosen(key, "mugs", 0.5) else "1"] * 2 for key in keys}
    assert {version for answers in by_key.values() for version in answers} == {"1", "2"}


@pytest.mark.parametrize(
    "failure",
    [
        {"errors": Unavailable("No worker.")},
        {"errors": RuntimeError("bug")},
        {"refusals": Conflict("The release does not offer this.")},
        {"seconds": 3600},
    ],
    ids=["unavailable", "bug", "refusal", "hangs"],
)
def test_what_a_canary_cannot_answer_the_champion_answers(challenges, backend, known, monkeypatch, failure):
    monkeypatch.setattr("serving.gateway.trial.MIN_PATIENCE_S", 0.01)
    known["mugs"] = challenger("canary")
    for name, value in failure.items():
        getattr(backend, name)["2"] = value
    assert ask(challenges) == ["1"]
    assert 'outcome="failed",version="2"} 1.0' in text(challenges)


def test_a_canary_that_hangs_costs_its_callers_no_more_than_the_champions_time_allows(challenges, backend, known, monkeypatch):
    """Of the first request of a kind both are asked, since the champion's time is not known; of later ones the canary first."""
    monkeypatch.setattr("serving.gateway.trial.MIN_PATIENCE_S", 0.05)
    known["mugs"] = challenger("canary")
    backend.seconds["2"] = 3600

    async def asked():
        for _ in range(3):
            (answer,) = await asyncio.wait_for(challenges.ask(CHAMPION, [make_query("search", [IMAGE])], "k"), 5)
            assert answer["model_version"] == "1"
        await asyncio.sleep(0.01)
        assert challenges._attempts == set()

    asyncio.run(asked())
    assert backend.asked == ["1", "2"] + ["2", "1"] * 2
    assert 'glocal_challenge_requests_total{model="mugs",operation="search",outcome="failed",version="2"} 3.0' in text(challenges)


def test_a_canary_in_time_answers_alone_once_the_champions_time_is_known(challenges, backend, known):
    known["mugs"] = challenger("canary")
    assert ask(challenges, 3) == ["2"] * 3
    assert sorted(backend.asked[:2]) == ["1", "2"]
    assert backend.asked[2:] == ["2", "2"]


def test_a_canary_answers_where_the_champion_cannot(challenges, backend, known):
    known["mugs"] = challenger("canary")
    backend.errors["1"] = Unavailable("No worker.")
    assert ask(challenges, 2) == ["2", "2"]


def test_what_is_mirrored_counts_its_bytes_until_nothing_holds_them_and_finds_no_place_beyond_its_share(
    challenges, backend, known, room
):
    known["mugs"] = challenger("shadow")
    backend.seconds["2"] = 3600
    room.max_background = len(IMAGE) * 2

    async def asked():
        for _ in range(3):
            await challenges.ask(CHAMPION, [make_query("search", [IMAGE])], "k")
        assert room.background == 2 * len(IMAGE)
        for task in challenges._mirrored:
            task.cancel()
        await asyncio.gather(*challenges._mirrored, *challenges._attempts, return_exceptions=True)
        await asyncio.sleep(0)
        assert (room.background, challenges._attempts) == (0, set())

    asyncio.run(asked())
    assert 'outcome="skipped",version="2"} 1.0' in text(challenges)


@pytest.mark.parametrize("held", [{"requests": 19}, {"bytes": 3 * MAX_BODY + 1}], ids=str)
def test_nothing_is_mirrored_where_callers_will_soon_find_no_room(challenges, backend, known, room, held):
    known["mugs"] = challenger("shadow")
    vars(room).update(held)
    assert ask(challenges, 2) == ["1", "1"]
    assert backend.asked == ["1", "1"]
    vars(room).update(requests=18, bytes=3 * MAX_BODY)
    ask(challenges)
    assert backend.asked == ["1", "1", "1", "2"]


def test_what_a_canary_still_holds_when_its_caller_has_the_champions_answer_counts_as_well(known, aborted, room, monkeypatch):
    monkeypatch.setattr("serving.gateway.trial.MIN_PATIENCE_S", 0.01)
    known["mugs"] = challenger("canary")
    let = asyncio.Event()

    class Hung(Versions):
        async def ask(self, served, queries):
            if served.version == "2":
                await let.wait()
            return await super().ask(served, queries)

    async def asked():
        challenges = Challenges(Batches(Hung()), lambda: known, aborted, room)
        for _ in range(3):  # the first is at the worker, and the others wait for it
            await challenges.ask(CHAMPION, [make_query("search", [IMAGE])], "k")
        await asyncio.sleep(0.001)
        assert room.background == len(IMAGE)
        let.set()
        await asyncio.sleep(0.001)
        assert room.background == 0

    asyncio.run(asked())


def test_what_both_refuse_is_the_callers_fault_and_aborts_nothing(challenges, backend, known, aborted):
    known["mugs"] = challenger("canary", max_error_rate=0)
    backend.refusals = {version: InvalidInput("No image.") for version in "12"}
    assert all(isinstance(answer, InvalidInput) for answer in ask(challenges, FEWEST + 1))
    assert 'outcome="' not in text(challenges)
    assert not aborted.exists()


def test_an_error_of_the_champion_is_the_callers_whoever_was_asked_first(challenges, backend, known):
    known["mugs"] = challenger("canary")
    backend.errors = {version: Unavailable(f"No worker of {version}.") for version in "12"}
    with pytest.raises(Unavailable, match="No worker of 1"):
        ask(challenges)


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_a_challenger_that_fails_is_aborted_with_a_warning_and_stays_so_after_a_restart(
    challenges, backend, known, aborted, caplog, mode
):
    known["mugs"] = challenger(mode)
    backend.errors["2"] = Unavailable("No worker.")
    with caplog.at_level(logging.WARNING, "glocal.gateway"):
        assert ask(challenges, FEWEST + 5) == ["1"] * (FEWEST + 5)
    assert backend.asked.count("2") == FEWEST
    assert len(caplog.records) == 1
    entry = read_aborted(aborted)["mugs"]
    assert (entry.version, entry.started) == ("2", MOMENT)
    assert entry.reason == "20 of its last 20 requests failed, a share of more than 0.05."
    assert f'glocal_challenge_share{{mode="{mode}",model="mugs",version="2"}} 0.0' in text(challenges)
    again = Challenges(backend, lambda: known, aborted)
    ask(again)
    assert backend.asked.count("2") == FEWEST


def test_a_slow_challenger_is_aborted(challenges, backend, known, aborted):
    known["mugs"] = challenger("shadow", max_latency_ratio=1.5)
    backend.seconds = {"1": 0.002, "2": 0.008}
    ask(challenges, FEWEST + KNOWN)
    assert "times as long as the champion, more than 1.5." in read_aborted(aborted)["mugs"].reason


def test_a_challenge_that_is_started_anew_is_tried_anew(challenges, backend, known):
    known["mugs"] = challenger("canary")
    backend.errors["2"] = Unavailable("No worker.")
    ask(challenges, FEWEST + 1)
    backend.errors.clear()
    assert ask(challenges) == ["1"]
    known["mugs"] = challenger("canary", started=datetime(2026, 1, 2, tzinfo=UTC))
    assert ask(challenges) == ["2"]


def test_an_abort_that_cannot_be_written_still_ends_the_challenge(challenges, backend, known, aborted, caplog):
    aborted.mkdir()
    known["mugs"] = challenger("canary")
    backend.errors["2"] = Unavailable("No worker.")
    assert ask(challenges, FEWEST + 1) == ["1"] * (FEWEST + 1)
    assert backend.asked.count("2") == FEWEST
    assert "cannot be written" in caplog.text


def test_over_http_a_canary_answers_who_names_no_version_and_the_metrics_tell(challenges, backend, known, tmp_path):
    known["mugs"] = challenger("canary")
    folder = Home(tmp_path).serve
    _, secret = create_key(folder, "shop", [Scope.CALLER])
    app = make_app(Models(backend, lambda: {"mugs": CHAMPION}), KeyFile(folder.keys), challenges=challenges)
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:

        def answering(address):
            return client.post(address, content=IMAGE).json()["model_version"]

        assert [answering(address) for address in ("/v1/search", "/v1/models/mugs/search")] == ["2", "2"]
        assert [answering(f"/v1/models/mugs/versions/{version}/search") for version in "12"] == ["1", "2"]
        assert 'outcome="answered",version="2"} 2.0' in client.get("/metrics").text
        known.clear()
        assert answering("/v1/search") == "1"
        assert "glocal_challenge_share{" not in client.get("/metrics").text

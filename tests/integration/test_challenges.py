"""A real registry and a real TorchServe: a version is tried beside the one that serves. One server for the whole file."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx
import pytest

from model.errors import Conflict, GlocalError, NotFound
from model.files import read_json
from model.schemas.challenge import Challenge
from serving import server
from serving.challenging import start_challenge, stop_challenge
from serving.gateway.challenge import is_chosen
from serving.gateway.keys import Scope, create_key
from serving.gateway.trial import FEWEST
from serving.local import local_client, read_key
from serving.reconcile import server_status, start_server
from serving.rollout.endpoint import connect
from tests.support.promotions import answers, assert_one_truth, to
from tests.support.releases import draw_image

pytestmark = pytest.mark.integration

NAME = "drawn"


def challenge(home, version, mode, share=1.0):
    terms = Challenge(mode=mode, share=share, max_latency_ratio=1000, started=datetime.now(UTC))
    return start_challenge(version, terms, home=home, tracking_uri=home.tracking_uri, name=NAME)


@pytest.fixture(autouse=True)
def end(home):
    yield
    stop_challenge(home, NAME)


def metrics(home):
    key = {"Authorization": f"Bearer {read_key(home.serve)}"}
    return httpx.get(f"{server.status(home).address}/metrics", headers=key, trust_env=False).text.splitlines()


def metric(home, start):
    """The value of the metric whose line starts so; 0 if there is none."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics(home) if line.startswith(start))


def search(home, version):
    """Id of the nearest neighbour by one version."""
    with local_client(home.serve) as client:
        return client.search(draw_image(1), 1, model=NAME, version=version).neighbours[0].id


def until(is_so, deadline_s=30):
    deadline = time.monotonic() + deadline_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def versions(home):
    return sorted(each.version for each in server.status(home).models[NAME].versions)


def test_a_shadow_is_compared_while_the_champion_answers_and_ending_it_leaves_one_version(home, registry, releases, first):
    begun = challenge(home, "2", "shadow")
    assert (begun.version, begun.ready) == ("2", True)
    assert versions(home) == ["1", "2"]
    found = server_status(home, home.tracking_uri)
    assert found.differences == ()
    assert (found.challengers[NAME].version, found.challengers[NAME].challenge.mode) == ("2", "shadow")
    for _ in range(3):
        assert answers(home, NAME) == ("1", releases[0].id)
    counted = 'glocal_challenge_agreement_count{model="drawn",operation="search",version="2"}'
    until(lambda: metric(home, counted) == 3)
    agreed = metric(home, counted.replace("count", "sum")) / 3
    expected = [search(home, version) for version in "12"]
    assert agreed == (expected[0] == expected[1])
    assert stop_challenge(home, NAME) == "2"
    assert_one_truth(home, NAME, "1", releases[0])
    assert server_status(home, home.tracking_uri).challengers == {}
    assert stop_challenge(home, NAME) is None


def test_a_canary_answers_some_keys_and_always_the_same(home, registry, releases, first):
    challenge(home, "2", "canary", 0.5)
    made = [create_key(home.serve, f"caller {number}", [Scope.CALLER]) for number in range(12)]
    expected = {key.id: "2" if is_chosen(key.id, NAME, 0.5) else "1" for key, _ in made}
    for _ in range(2):
        found = {}
        for key, secret in made:
            headers = {"Authorization": f"Bearer {secret}"}
            with httpx.Client(base_url=server.status(home).address, headers=headers, trust_env=False, timeout=60) as http:
                found[key.id] = http.post("/v1/search", content=draw_image(1)).json()["model_version"]
        assert found == expected


def test_a_restart_brings_the_challenger_back(home, registry, releases, first):
    challenge(home, "2", "canary")
    assert answers(home, NAME) == ("2", releases[1].id)
    server.stop(home)
    started = start_server(home, home.tracking_uri)
    assert started.differences == ()
    assert started.challengers[NAME].ready
    assert answers(home, NAME) == ("2", releases[1].id)


def test_a_promotion_of_the_challenger_ends_its_challenge_and_leaves_one_truth(home, registry, releases, first):
    challenge(home, "2", "canary")
    to(home, "2", NAME)
    assert_one_truth(home, NAME, "2", releases[1])
    assert server_status(home, home.tracking_uri).challengers == {}


def test_a_promotion_that_fails_leaves_a_challenge_as_it_is(home, registry, releases, first):
    challenge(home, "2", "shadow")
    with pytest.raises(GlocalError, match="golden query"):
        to(home, "3", NAME)
    assert versions(home) == ["1", "2"]
    assert server_status(home, home.tracking_uri).challengers[NAME].version == "2"


def test_new_terms_keep_the_workers(home, registry, releases, first):
    challenge(home, "2", "shadow")
    (before,) = (each for each in server.status(home).models[NAME].versions if each.version == "2")
    challenge(home, "2", "canary")
    (after,) = (each for each in server.status(home).models[NAME].versions if each.version == "2")
    assert [worker.pid for worker in after.workers] == [worker.pid for worker in before.workers]
    assert answers(home, NAME) == ("2", releases[1].id)


def test_a_version_that_cannot_be_tried_leaves_nothing(home, registry, releases, first):
    with pytest.raises(GlocalError, match="golden query"):
        challenge(home, "3", "shadow")
    with pytest.raises(Conflict, match="serves already"):
        challenge(home, "1", "shadow")
    with pytest.raises(NotFound, match="no version 99"):
        challenge(home, "99", "shadow")
    assert_one_truth(home, NAME, "1", releases[0])
    assert server_status(home, home.tracking_uri).challengers == {}


def test_what_a_lost_canary_cannot_answer_the_champion_answers_and_the_status_says_why_it_was_aborted(
    home, registry, releases, first
):
    challenge(home, "2", "canary")
    with connect(home.serve, server.ensure(home)) as endpoint:
        endpoint.server.unload(NAME, "2")
    with local_client(home.serve) as client:
        answered = [client.search(draw_image(1), 1, model=NAME).model_version for _ in range(FEWEST)]
    assert answered == ["1"] * FEWEST
    said = "20 of its last 20 requests failed, a share of more than 0.05."
    assert server_status(home, home.tracking_uri).challengers[NAME].aborted == said
    assert metric(home, 'glocal_challenge_share{mode="canary",model="drawn",version="2"}') == 0
    server.stop(home)
    started = start_server(home, home.tracking_uri)
    assert (started.challengers[NAME].ready, started.challengers[NAME].aborted) == (True, said)
    assert answers(home, NAME) == ("1", releases[0].id)


def test_a_challenger_whose_archive_is_damaged_ends_and_the_champion_serves(home, registry, releases, first):
    challenge(home, "2", "canary")
    server.stop(home)
    (home.serve.store / f"{NAME}-2.mar").write_bytes(b"x")
    started = start_server(home, home.tracking_uri)
    (difference,) = started.differences
    assert "The challenger, version 2, cannot be brought back" in difference.found
    assert_one_truth(home, NAME, "1", releases[0])


def test_without_the_record_of_what_serves_the_challenger_is_not_taken_for_it(home, registry, releases, first):
    challenge(home, "2", "shadow")
    server.stop(home)
    home.serve.deployed.unlink()
    registry.drop_alias("champion")
    started = start_server(home, home.tracking_uri)
    assert read_json(home.serve.deployed)[NAME]["version"] == "1"
    assert started.challengers[NAME].ready
    assert answers(home, NAME) == ("1", releases[0].id)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from model.home import Home
from model.schemas.challenge import Challenge
import serving.challenging
from serving.rollout import challenge, endpoint
module = endpoint if sys.argv[2] == "replay_golden" else challenge
setattr(module, sys.argv[2], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
home, terms = Home.at(sys.argv[1]), Challenge(mode="canary", share=1, started=datetime.now(UTC))
serving.challenging.stop_challenge(home, "drawn")
serving.challenging.start_challenge("2", terms, home=home, tracking_uri=home.tracking_uri, name="drawn")
"""


@pytest.mark.parametrize("point", ["bring_up", "replay_golden", "write_challenger", "retire"])
def test_whatever_a_challenge_is_killed_at_the_next_start_finds_one_truth(home, registry, releases, first, point):
    if point == "retire":
        challenge(home, "2", "canary")
    done = subprocess.run([sys.executable, "-c", KILLED, str(home.root), point], check=False)
    assert done.returncode == -signal.SIGKILL, "the point was never reached"
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])
    assert server_status(home, home.tracking_uri).differences == ()


def test_an_end_while_the_endpoint_is_stopped_leaves_one_version(home, registry, releases, first):
    challenge(home, "2", "shadow")
    server.stop(home)
    assert stop_challenge(home, NAME) == "2"
    assert start_server(home, home.tracking_uri).differences == ()
    assert_one_truth(home, NAME, "1", releases[0])

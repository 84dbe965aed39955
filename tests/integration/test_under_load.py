"""The whole endpoint under load, with parts of it dying: nothing but answers, 429 and 503, and then it answers again."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from benchmarks.overload import ask_at_once
from benchmarks.rollouts import roll
from serving import server
from serving.backends.torchserve.discovery import find
from serving.gateway.room import Room
from serving.local import read_key
from serving.operations import OPERATIONS
from serving.processes import wait_until
from serving.reconcile import start_server
from tests.support.encoded import encode
from tests.support.memory import Peak
from tests.support.promotions import register, to
from tests.support.releases import draw_image, make_full_release

pytestmark = pytest.mark.integration

NAME = "drawn"
IMAGES = [draw_image(number) for number in range(5)]
LONGER = 4
"""How many times as long as at full load an accepted request may take. A queue without a bound would make it ten times. Idle, it
is less than twice: `python -m benchmarks.overload`."""
ROLLOUTS = 2
"""Few; `python -m benchmarks.rollouts --rollouts 200` is the same with many."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two releases that offer every operation."""
    root = tmp_path_factory.mktemp("releases")
    return [make_full_release(root / str(seed), seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def address(home, both, tmp_path_factory):
    to(home, register(both[0], home, tmp_path_factory.mktemp("evidence"), name=NAME).version, NAME)
    return server.status(home).address


@pytest.fixture
def http(home, address):
    headers = {"Authorization": f"Bearer {read_key(home.serve)}"}
    with httpx.Client(base_url=address, headers=headers, timeout=90, trust_env=False) as http:
        yield http


def worker(home):
    return server.status(home).models[NAME].versions[0].workers[0].pid


def search(http, image=IMAGES[0]):
    return http.post("/v1/search", content=image)


def ready(http):
    return http.get("/readyz").status_code == 200


def recovers(http):
    return wait_until(lambda: search(http).status_code == 200 and ready(http), deadline_s=120)


def assert_to_be_sent_again(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0


def test_a_worker_that_is_killed_with_a_query_costs_503s_and_comes_back(home, http):
    killed = worker(home)
    os.kill(killed, signal.SIGSTOP)  # so that a query is with it
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(search, http)
        assert wait_until(lambda: b"glocal_requests_held 1.0" in http.get("/metrics").content, deadline_s=10)
        os.kill(killed, signal.SIGKILL)
        assert_to_be_sent_again(asked.result())
    assert wait_until(lambda: not ready(http), deadline_s=5, pause_s=0.01)
    assert recovers(http)
    assert worker(home) != killed


def test_a_worker_that_hangs_is_given_up_readiness_turns_and_another_takes_its_place(home, http):
    hung = worker(home)
    os.kill(hung, signal.SIGSTOP)
    assert_to_be_sent_again(search(http))
    assert wait_until(lambda: not ready(http), deadline_s=5, pause_s=0.01)
    assert recovers(http)
    assert worker(home) != hung
    assert not psutil.pid_exists(hung)


def test_a_worker_without_memory_for_an_image_says_503_for_it_alone_and_lives_on(home, http):
    """Its address space is limited to what it has; an image of 25 million pixels needs 75 MB."""
    process = psutil.Process(worker(home))
    large = encode(Image.fromarray(np.zeros((5000, 5000), np.uint8)))
    assert search(http).status_code == 200
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, psutil.RLIM_INFINITY))
    try:
        answers = http.post("/v1/search", files=[("images", image) for image in (IMAGES[0], large, IMAGES[1])]).json()["answers"]
        assert_to_be_sent_again(search(http, large))
    finally:
        process.rlimit(psutil.RLIMIT_AS, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    assert [answer.get("error", {}).get("status") for answer in answers] == [None, 503, None]
    assert search(http, large).status_code == 200
    assert worker(home) == process.pid


def test_a_server_that_is_killed_under_load_costs_503s_and_comes_back_by_a_start(home, http):
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        os.kill(find(home.serve).pid, signal.SIGKILL)
        starting = pool.submit(start_server, home, home.tracking_uri)
        while not starting.done():
            seen.add(search(http).status_code)
            time.sleep(0.05)
        assert starting.result().state == "serving"
    assert seen <= {200, 503}
    assert 503 in seen
    assert recovers(http)


def test_overload_is_refused_with_429_or_503_while_the_queue_the_times_and_memory_are_bounded(home, http):
    room, held = Room(), []

    def p99(taken):
        return np.percentile([ms for status, ms in taken if status == 200], 99)

    async def watched():
        load = asyncio.create_task(ask_at_once(home, IMAGES, 160, 5))
        while not load.done():
            lines = (await asyncio.to_thread(http.get, "/metrics")).text.splitlines()
            held.extend(float(line.split()[1]) for line in lines if line.startswith("glocal_requests_held "))
            await asyncio.sleep(0.1)
        return await load

    full = asyncio.run(ask_at_once(home, IMAGES, 16, 5))
    with Peak(server.status(home).gateway_pid) as gateway, Peak(worker(home)) as engine:
        over = asyncio.run(watched())
    statuses = [status for status, _ in over]
    assert p99(over) < LONGER * p99(full)
    assert set(statuses) <= {200, 429, 503}
    assert 200 in statuses
    assert 429 in statuses
    assert max(held) <= room.max_requests
    assert gateway.mb < 64
    assert engine.mb < 128
    assert recovers(http)


def test_rollouts_there_and_back_under_load_of_all_operations_fail_no_request_and_every_answer_names_its_release(
    home, http, both
):
    assert ready(http)
    server.stop(home)
    home.serve.deployed.unlink()  # as in the benchmark, the server alone is rolled over
    found = roll(home, both, IMAGES, ROLLOUTS)
    assert found["failures"] == {}
    assert found["strangers"] == 0
    assert set(found["answers"]) == set(OPERATIONS)
    assert min(found["answers"].values()) > 0
    first, last = found["memory"][0], found["memory"][-1]
    assert last["gateway"] - first["gateway"] < 16
    assert last["java"] - first["java"] < 256

"""A real TorchServe on loopback: deploy, replace, refuse, recover, restart, stop. One server for the whole file."""

import contextlib
import json
import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from model.config import ServeConfig
from model.errors import Conflict, GlocalError, InvalidInput, Unavailable
from model.files import read_json, write_json
from model.locks import hold
from serving import backends, server
from serving.archive import build_archive
from serving.backends.exchange import SOCKET
from serving.backends.port import Stored
from serving.backends.torchserve import discovery
from serving.backends.torchserve.discovery import find
from serving.gateway import process as gateway
from serving.golden import same_neighbours
from serving.limits import MAX_BODY, MAX_BYTES
from serving.local import local_client, read_key
from serving.processes import wait_until
from serving.promotion import promote_release
from serving.reconcile import start_server
from serving.rollout.endpoint import connect
from serving.rollout.switch import switch_over
from tests.support.promotions import register, to
from tests.support.releases import ENTRIES, draw_image, huge_png, make_parts, make_release, reseal

pytestmark = pytest.mark.integration

NAME = "glocal"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return [make_release(root / str(seed), seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def deploy(home, tmp_path_factory):
    """Register a release, if it is not registered yet, and promote it."""

    def deploy(release, **options):
        version = register(release, home, tmp_path_factory.mktemp("evidence"), name=NAME).version
        return to(home, version, NAME, **options)

    return deploy


@pytest.fixture(scope="module")
def address(deploy, releases):
    """The endpoint with the first release deployed as version 1."""
    done = deploy(releases[0])
    assert (done.version, done.release, done.golden) == ("1", releases[0].id, 2)
    return done.address


@pytest.fixture(scope="module")
def replaced(deploy, address, releases):
    """The version of the second release, which serves now."""
    return deploy(releases[1]).version


@pytest.fixture(scope="module")
def serves(home):
    """Whether a release answers, as this version."""

    def serves(release, version):
        answer = local_client(home.serve).search(release.folder / "golden" / "0.png", 3, model=NAME)
        named = (answer.release, answer.model_version) == (release.id, version)
        return named and same_neighbours(answer.neighbours, release.golden[0].neighbours)

    return serves


@pytest.fixture(scope="module")
def http(home, address):
    """HTTP as a program sends it that has the owner's key."""
    key = {"Authorization": f"Bearer {read_key(home.serve)}"}
    with httpx.Client(base_url=address, headers=key, timeout=60) as http:
        yield http


def processes(home):
    pid = read_json(home.serve.state).get("pid", -1)
    return [each for each in psutil.process_iter() if str(home.root) in " ".join(_line(each)) or _session(each) == pid]


def _line(each):
    try:
        return each.cmdline() if each.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


def _session(each):
    try:
        return os.getsid(each.pid)
    except ProcessLookupError:
        return None


def test_a_deployed_release_answers_and_is_what_status_says(home, releases, address, serves):
    assert serves(releases[0], "1")
    state = server.status(home)
    assert (state.running, state.state, state.fault) == (True, "serving", None)
    assert state.address == address
    assert state.models["glocal"].default == "1"
    assert [worker.status for worker in state.models["glocal"].versions[0].workers] == ["READY"]
    assert 100 < state.memory_mb < 1536


def test_deploying_what_serves_only_verifies_it(home, deploy, releases, address):
    pid = server.status(home).models["glocal"].versions[0].workers[0].pid
    assert deploy(releases[0]).golden == 2
    assert server.status(home).models["glocal"].versions[0].workers[0].pid == pid
    with connect(home.serve, backends.running(home.serve)) as endpoint, pytest.raises(Conflict, match="serves release"):
        switch_over(endpoint, releases[1], "1", name=NAME, workers=1)


def test_every_listening_socket_is_on_loopback(home, address):
    folder = home.serve
    listening = [
        connection.laddr.ip
        for each in discovery.members({find(folder).pid}, folder)
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "There is no image."), (b"just a text", "no image of a known format"), (huge_png(), "pixels, more than 50000000.")],
    ids=["empty", "text", "bomb"],
)
@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png"])
def test_a_bad_body_gets_a_4xx_with_a_fixed_message_and_the_server_lives_on(http, releases, data, said, kind, serves):
    answer = http.post("/v1/search", content=data, headers={"content-type": kind})
    assert answer.status_code == 422
    assert said in answer.json()["title"]
    assert serves(releases[0], "1")


def test_a_body_over_the_limit_is_a_413_and_the_server_lives_on(releases, http, serves):
    assert http.post("/v1/search", content=bytes(MAX_BYTES + 1)).status_code == 413
    with contextlib.suppress(httpx.TransportError):  # where it was refused while we were still sending
        assert http.post("/v1/search", content=bytes(MAX_BODY + 1)).status_code == 413
    assert serves(releases[0], "1")


def test_a_release_that_fails_its_golden_queries_leaves_the_old_one_serving(home, deploy, releases, address, tmp_path, serves):
    parts = make_parts(tmp_path / "parts", seed=5)
    answers = read_json(parts / "golden" / "answers.json")
    answers[1]["neighbours"][0]["score"] -= 0.1
    write_json(parts / "golden" / "answers.json", answers)
    bad = reseal(parts, tmp_path / "bad")
    with pytest.raises(GlocalError, match=r"golden query 1\.png"):
        deploy(bad)
    assert serves(releases[0], "1")
    assert only_version(home) == "1"


@pytest.mark.parametrize("damage", ["flip", "miss", "add"])
def test_a_damaged_release_is_refused_and_the_old_one_serves(home, releases, address, tmp_path, damage, serves):
    version = register(releases[1], home, tmp_path / "evidence", name=NAME).version
    folder = shutil.copytree(releases[1].folder, tmp_path / "release")
    weights = folder / "weights.safetensors"
    if damage == "flip":
        weights.write_bytes(b"\x00" + weights.read_bytes()[1:])
    elif damage == "miss":
        weights.unlink()
    else:
        (folder / "more.txt").write_text("x")
    with pytest.raises(InvalidInput):
        promote_release(folder, version, ServeConfig(name=NAME), home=home, tracking_uri=home.tracking_uri, why="test")
    assert serves(releases[0], "1")


def test_a_new_version_replaces_the_old_one_without_a_failed_request(home, deploy, releases, address, http):
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answer = http.post("/v1/search", content=draw_image(len(answers) % 10))
            answers.append((answer.status_code, answer.json().get("release"), answer.json().get("model_version")))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            done = deploy(releases[1])
            seen = len(answers)
            assert wait_until(lambda: len(answers) > seen + 3 or asking.done(), deadline_s=30)
        finally:
            stop.set()
        asking.result()
    assert done.address == address
    assert {status for status, _, _ in answers} == {200}
    assert {named for _, *named in map(tuple, answers) for named in [tuple(named)]} == {
        (releases[0].id, "1"),
        (releases[1].id, done.version),
    }
    assert answers[-1][1] == releases[1].id
    assert only_version(home) == done.version
    assert {path.name for path in home.serve.store.glob("*.mar")} == {"glocal-1.mar", f"glocal-{done.version}.mar"}


def test_what_a_killed_deployment_left_is_tidied_by_the_next(home, deploy, releases, address, replaced, serves):
    """It had loaded its version, and died before it was recorded."""
    folder = home.serve
    wrapping = backends.running(folder).wrapping(NAME, "99")
    stray = build_archive(releases[2], folder.store, name=NAME, version="99", wrapping=wrapping)
    with connect(folder, backends.running(folder)) as endpoint:
        endpoint.server.load(Stored(NAME, "99", stray.path, 1))
    deploy(releases[1])
    assert only_version(home) == replaced
    assert not stray.path.exists()
    assert serves(releases[1], replaced)


def test_a_release_that_a_worker_cannot_load_is_given_up_and_the_old_one_serves(
    home, deploy, releases, address, replaced, tmp_path, serves
):
    parts = make_parts(tmp_path / "parts")
    vectors = np.zeros((ENTRIES, 8), np.float32)  # of another embedding space
    vectors[:, 0] = 1
    np.save(parts / "gallery" / "vectors.npy", vectors)
    with pytest.raises(Unavailable, match="became ready"):
        deploy(reseal(parts, tmp_path / "bad"))
    assert serves(releases[1], replaced)
    assert only_version(home) == replaced


def test_a_second_deployment_at_the_same_time_is_a_conflict(home, deploy, releases, address):
    held = hold(home.serve.deploy_lock, wait_s=0, busy="x")
    with held, pytest.raises(Conflict, match="Another deployment"):
        deploy(releases[2], lock_wait_s=0.2)


def test_a_killed_worker_comes_back(home, releases, address, replaced, serves):
    worker = server.status(home).models["glocal"].versions[0].workers[0].pid
    os.kill(worker, signal.SIGKILL)

    def recovered():
        try:
            return serves(releases[1], replaced)
        except GlocalError:
            return False

    assert wait_until(recovered, deadline_s=60)
    assert server.status(home).models["glocal"].versions[0].workers[0].pid != worker


def test_what_was_deployed_serves_again_after_the_server_was_killed(home, releases, address, replaced, serves):
    folder = home.serve
    before = find(folder).pid
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: find(folder) is None, deadline_s=10)
    state = start_server(home, home.tracking_uri)
    assert state.pid != before
    assert state.address == address  # its ports were free again
    assert serves(releases[1], replaced)
    assert start_server(home, home.tracking_uri).pid == state.pid


def test_a_killed_gateway_is_reported_and_comes_back_at_its_address(home, releases, address, replaced, serves):
    os.kill(gateway.find(home.serve).pid, signal.SIGKILL)
    assert wait_until(lambda: gateway.find(home.serve) is None, deadline_s=10)
    state = server.status(home)
    assert (state.running, state.state, state.address) == (True, "deaf", "")
    assert "gateway" in state.fault.headline
    assert "glocal serve start" in state.fault.hint
    state = start_server(home, home.tracking_uri)
    assert (state.state, state.address) == ("serving", address)
    assert serves(releases[1], replaced)


def test_another_users_call_reaches_no_server_behind_the_gateway(home, address, replaced):
    """Without TorchServe's own token, which lies in a file of this user alone."""
    running, token = find(home.serve), home.serve.tokens
    socket = Path(running.address.removeprefix(SOCKET))
    assert token.stat().st_mode & 0o077 == 0
    assert socket.stat().st_mode & 0o022 == 0  # who may not write to a socket does not connect to it
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://queries", timeout=30) as queries:
        assert queries.post(f"/predictions/{NAME}").status_code in {400, 401, 403}
    for method, path in (
        ("GET", "/models"),
        ("DELETE", f"/models/{NAME}/{replaced}"),
        ("POST", "/models?url=x.mar"),
    ):
        assert httpx.request(method, f"{running.management}{path}", timeout=30).status_code in {400, 401, 403}, path
    assert only_version(home) == replaced


def test_stopping_twice_leaves_no_process_behind(home, address, replaced):
    scratch = find(home.serve).scratch
    assert processes(home)
    assert server.stop(home) is True
    assert server.stop(home) is False
    assert processes(home) == []
    assert not os.path.exists(scratch)  # noqa: PTH110
    assert server.status(home).running is False
    assert json.loads(home.serve.deployed.read_text())["glocal"]["version"] == replaced


def only_version(home):
    (version,) = [each.version for each in server.status(home).models["glocal"].versions]
    return version

"""What every server of models must do, of real ones: load, answer, refuse, recover, unload, be found again, and end."""

import asyncio
import subprocess
import sys

import httpx
import psutil
import pytest

from model.claim import claim
from model.data.images import to_png
from model.errors import GlocalError, InvalidInput, NotFound, Overloaded, Unavailable
from model.files import write_json
from model.home import Home
from serving import backends
from serving.archive import build_archive
from serving.backends.port import QUEUE, Served, Stored
from serving.operations import OPERATIONS
from serving.operations.query import make_query
from serving.processes import wait_until
from tests.support.detection import add_exemplars, scene, thing
from tests.support.operations import CALIBRATION
from tests.support.releases import draw_image, make_parts, reseal

pytestmark = pytest.mark.integration

NAME = "drawn"
SECRET = "a secret of the user's own"


@pytest.fixture(scope="module", params=[each for each in backends.ADAPTERS if not backends.named(each).is_elsewhere])
def backend(request):
    return backends.named(request.param)


@pytest.fixture(scope="module")
def folder(backend, tmp_path_factory):
    """The folder of an endpoint whose server of models runs."""
    folder = claim(Home.at(tmp_path_factory.mktemp("home"))).serve
    folder.root.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        backend.ensure(folder)
        yield folder
    backend.stop(folder)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Two releases that offer every operation."""
    root, made = tmp_path_factory.mktemp("releases"), []
    for seed in range(2):
        parts = make_parts(root / f"parts{seed}", seed=seed)
        add_exemplars(parts)
        write_json(parts / "calibration.json", CALIBRATION.model_dump())
        made.append(reseal(parts, root / f"release{seed}"))
    return made


@pytest.fixture(scope="module")
def load(backend, folder):
    def load(release, version, workers=1, name=NAME):
        wrapping = backend.wrapping(name, version)
        archive = build_archive(release, folder.store, name=name, version=version, wrapping=wrapping)
        with backend.loading(folder) as server:
            server.load(Stored(name, version, archive.path, workers))
        return Served(name, version, release.id, release.embedding_space_id, workers)

    return load


@pytest.fixture(scope="module")
def first(load, releases):
    """A version that is loaded throughout."""
    return load(releases[0], "1")


def together(backend, folder, *asked):
    """The outcome of each of some blocks of queries that are asked at once: the answers, or the error."""

    async def ask_all():
        asking = backend.asking(folder)
        return await asyncio.gather(*(asking.ask(served, queries) for served, queries in asked), return_exceptions=True)

    return asyncio.run(ask_all())


def ask(backend, folder, served, *queries):
    (outcome,) = together(backend, folder, (served, queries))
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def is_ready(backend, folder, served):
    async def ready():
        asking = backend.asking(folder)
        return await asking.ready(served)

    return asyncio.run(ready())


def search(number=1):
    return make_query("search", [draw_image(number)], {"k": 3})


def worker_of(backend, folder, version):
    """The process of a version's only worker."""
    with backend.loading(folder) as server:
        (served,) = (each for each in server.held()[NAME] if each.version == version)
    (worker,) = served.workers
    return psutil.Process(worker.pid)


def versions(backend, folder, name=NAME):
    with backend.loading(folder) as server:
        return sorted(each.version for each in server.held().get(name, ()))


def unload(backend, folder, version, name=NAME):
    with backend.loading(folder) as server:
        server.unload(name, version)


def test_a_loaded_version_is_held_ready_and_answers_a_block_of_all_operations(backend, folder, first, releases):
    assert is_ready(backend, folder, first)
    assert versions(backend, folder) == ["1"]
    shelf = to_png(scene((thing("cup"), 60, 80)))
    asked = [make_query(name, [shelf if name == "detect" else draw_image(1)] * each.images) for name, each in OPERATIONS.items()]
    answers = ask(backend, folder, first, *asked)
    for (name, operation), answer in zip(OPERATIONS.items(), answers, strict=True):
        found = operation.answer.model_validate(answer)
        assert (found.release, found.model_version) == (releases[0].id, "1"), name
    assert [each["label"] for each in answers[list(OPERATIONS).index("detect")]["objects"]] == ["cup"]


def test_a_query_that_cannot_be_answered_fails_alone(backend, folder, first):
    good, bad, other = ask(backend, folder, first, search(1), make_query("search", [b"no image"]), search(2))
    assert isinstance(bad, InvalidInput)
    assert (good["model_version"], other["model_version"]) == ("1", "1")


def test_loading_what_is_loaded_changes_nothing(backend, folder, first, load, releases):
    before = worker_of(backend, folder, "1").pid
    load(releases[0], "1")
    assert worker_of(backend, folder, "1").pid == before


def test_two_versions_answer_side_by_side_and_one_is_unloaded_without_the_other(backend, folder, first, load, releases):
    second = load(releases[1], "2", workers=2)
    (one,), (other,) = together(backend, folder, (first, [search()]), (second, [search()]))
    assert (one["release"], other["release"]) == (releases[0].id, releases[1].id)
    assert versions(backend, folder) == ["1", "2"]
    unload(backend, folder, "2")
    unload(backend, folder, "2")
    assert versions(backend, folder) == ["1"]
    with pytest.raises(NotFound):
        ask(backend, folder, second, search())
    assert ask(backend, folder, first, search())[0]["release"] == releases[0].id


def test_the_version_that_was_loaded_first_is_unloaded_before_the_later_one(backend, folder, load, releases):
    load(releases[0], "1", name="pair")
    later = load(releases[1], "2", name="pair")
    unload(backend, folder, "1", name="pair")
    assert versions(backend, folder, name="pair") == ["2"]
    assert ask(backend, folder, later, search())[0]["release"] == releases[1].id
    unload(backend, folder, "2", name="pair")
    assert versions(backend, folder, name="pair") == []


@pytest.mark.parametrize("unknown", [Served(NAME, "99"), Served("other", "1")])
def test_an_unknown_version_is_not_found_and_not_ready(backend, folder, first, unknown):
    with pytest.raises(NotFound):
        ask(backend, folder, unknown, search())
    assert not is_ready(backend, folder, unknown)


def test_a_full_queue_is_overloaded_and_what_waits_is_answered(backend, folder, first):
    worker = worker_of(backend, folder, "1")
    over = 4

    async def overload():
        asking = backend.asking(folder)
        waiting = {asyncio.create_task(asking.ask(first, [search()])) for _ in range(QUEUE + 1 + over)}
        refused, waiting = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < over:
            more, waiting = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            refused |= more
        with backend.loading(folder) as server:
            queued = await asyncio.to_thread(server.waiting, NAME, "1")
        worker.resume()
        return refused, queued, await asyncio.gather(*waiting, return_exceptions=True)

    worker.suspend()
    try:
        refused, queued, answered = asyncio.run(overload())
    finally:
        worker.resume()
    assert {type(each.exception()) for each in refused} == {Overloaded}
    assert queued >= QUEUE - 1
    late = [
        each for each in answered if isinstance(each, Overloaded)
    ]  # none, or the one that came before the worker took its own
    assert len(late) <= 1
    assert {each[0]["model_version"] for each in answered if each not in late} == {"1"}


def test_what_waits_for_a_version_that_is_unloaded_is_refused_or_answered_and_never_hangs(backend, folder, load, releases):
    third = load(releases[1], "3")

    async def unload_meanwhile():
        asking = backend.asking(folder)
        waiting = [asyncio.create_task(asking.ask(third, [search(number)] * 8)) for number in range(8)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(unload, backend, folder, "3")
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)

    outcomes = asyncio.run(unload_meanwhile())
    assert {type(each) for each in outcomes} <= {list, Unavailable, NotFound}
    with pytest.raises(NotFound):
        ask(backend, folder, third, search())


def test_a_killed_worker_is_unavailable_until_another_one_answers(backend, folder, first):
    killed = worker_of(backend, folder, "1")
    killed.kill()
    seen = []

    def recovered():
        try:
            return ask(backend, folder, first, search())[0]["model_version"] == "1"
        except GlocalError as error:
            seen.append(type(error))
            return False

    assert wait_until(recovered, deadline_s=60)
    assert set(seen) <= {Unavailable}
    assert wait_until(lambda: is_ready(backend, folder, first), deadline_s=10)
    assert worker_of(backend, folder, "1").pid != killed.pid


def test_a_release_that_cannot_be_loaded_is_given_up_and_leaves_nothing(backend, folder, first, load, tmp_path):
    parts = make_parts(tmp_path / "parts")
    (parts / "weights.safetensors").write_bytes(b"x")
    with pytest.raises((Unavailable, InvalidInput)):
        load(reseal(parts, tmp_path / "bad"), "4")
    unload(backend, folder, "4")
    assert versions(backend, folder) == ["1"]


def test_a_worker_has_no_secret_and_a_bound_on_its_memory(backend, folder, first):
    worker = worker_of(backend, folder, "1")
    assert SECRET not in worker.environ().values()
    limit, _ = worker.rlimit(psutil.RLIMIT_DATA)
    assert limit == 4096 * 2**20


def test_every_listening_socket_is_on_loopback_and_wants_a_token(backend, folder, first):
    tokens = {file for file in folder.root.rglob("*.json") if "token" in file.read_text() or "key" in file.name}
    assert tokens
    assert all(file.stat().st_mode & 0o077 == 0 for file in tokens)
    pids = {each.pid for each in psutil.process_iter() if str(folder.root) in " ".join(_line(each))}
    listening = [
        connection.laddr
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {address.ip.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}
    for address in listening:
        for method, path in (
            ("POST", f"/predictions/{NAME}/1"),
            ("POST", "/predict"),
            ("GET", "/models"),
            ("DELETE", "/models/drawn/1"),
        ):
            try:
                answer = httpx.request(method, f"http://127.0.0.1:{address.port}{path}", timeout=10, trust_env=False)
            except httpx.HTTPError:
                continue  # gRPC
            assert answer.status_code in {400, 401, 403, 404, 405}, (address, method, path)
    assert versions(backend, folder) == ["1"]


def _line(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_another_process_finds_what_runs_and_what_is_loaded(backend, folder, first):
    code = f"""
from pathlib import Path
from model.home import Home
from serving import backends
folder = Home.at({str(folder.root.parent)!r}).serve
backend = backends.running(folder)
with backend.loading(folder) as server:
    print(backend.name, [each.version for each in server.held()[{NAME!r}]])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{backend.name} ['1']"
    assert (backend.runs(folder), backend.answers(folder)) == (True, True)
    state = backend.state(folder)
    assert state.healthy
    assert state.memory_mb > 100
    backend.ensure(folder)  # it runs: nothing is started
    assert versions(backend, folder) == ["1"]


def test_stopping_leaves_no_process_and_a_new_start_has_no_version(backend, folder, first):
    worker = worker_of(backend, folder, "1")
    started = {each.pid for each in psutil.process_iter() if str(folder.root) in " ".join(_line(each))} | {worker.pid}
    assert backend.stop(folder)
    assert not backend.stop(folder)
    assert wait_until(lambda: not any(psutil.pid_exists(pid) and _line(psutil.Process(pid)) for pid in started), deadline_s=5)
    assert (backend.runs(folder), backend.state(folder)) == (False, None)
    with pytest.raises((NotFound, Unavailable)):
        ask(backend, folder, first, search())
    backend.ensure(folder)
    assert versions(backend, folder) == []

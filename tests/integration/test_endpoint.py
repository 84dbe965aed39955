"""The whole endpoint over an archive of an old revision and one of today's: what it answers, to bodies of every kind and many."""

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from model.files import read_json, write_json
from model.release import open_release
from serving import server
from serving.archive import verify_archive
from serving.golden import replay_golden
from serving.limits import MAX_BYTES
from serving.local import local_client, read_key
from serving.operations import OPERATIONS
from serving.registry.store import open_client
from serving.released_data import fetched_data
from serving.rollout.deployed import Deployed
from tests.support.promotions import register, to
from tests.support.releases import draw_image, make_release

pytestmark = pytest.mark.integration

OLD = Path(__file__).parents[1] / "fixtures" / "8feff62"
BINARY = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def old_release(tmp_path_factory):
    """The release in the archive that revision 8feff62 built."""
    folder = tmp_path_factory.mktemp("old")
    shutil.unpack_archive(OLD / "glocal-1.mar", folder, "zip")
    return open_release(folder / "release")


@pytest.fixture(scope="module")
def served(home, old_release, tmp_path_factory):
    """A home whose last deployment was revision 8feff62's, and then one of today's beside it; returns today's release."""
    open_client(home.tracking_uri)  # the home has a registry, as it had then
    home.serve.store.mkdir(parents=True)
    for file in OLD.glob("glocal-1.mar*"):
        shutil.copy(file, home.serve.store)
    entry = Deployed(
        version="1",
        archive="glocal-1.mar",
        sha256=verify_archive(home.serve.store / "glocal-1.mar").sha256,
        release=old_release.id,
        embedding_space_id=old_release.embedding_space_id,
        workers=1,
    )
    write_json(home.serve.deployed, {"glocal": entry.model_dump(exclude={"previous"})})  # which that revision did not know
    release = make_release(tmp_path_factory.mktemp("new") / "release")
    to(home, register(release, home, tmp_path_factory.mktemp("evidence"), name="today").version, "today")
    return release


@pytest.fixture(scope="module")
def http(home, served):
    key = {"Authorization": f"Bearer {read_key(home.serve)}"}
    with httpx.Client(base_url=server.status(home).address, headers=key, timeout=120) as http:
        yield http


def search(http, data, **options):
    return http.post("/v1/models/today/search", content=data, **options)


def test_an_archive_of_before_the_gateway_serves_and_answers_its_golden_queries(home, served, old_release):
    state = server.status(home)
    assert (state.state, state.missing, sorted(state.models)) == ("serving", (), ["glocal", "today"])
    with local_client(home.serve) as client:
        assert replay_golden(old_release, client, "glocal", "1") == 2
    recorded = read_json(home.serve.deployed)["glocal"]
    assert recorded["release"] == old_release.id
    assert verify_archive(home.serve.store / "glocal-1.mar", recorded["sha256"])


def test_a_pyfunc_of_before_the_move_loads_and_predicts(old_release, tmp_path):
    import mlflow
    from mlflow.pyfunc import save_model

    save_model(
        str(tmp_path / "model"),
        python_model=str(OLD / "pyfunc.py"),
        artifacts={"release": str(old_release.folder)},
        pip_requirements=[],
    )
    (tmp_path / "image.png").write_bytes(draw_image(100))
    (answer,) = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict([str(tmp_path / "image.png")])
    assert json.loads(answer)["release"] == old_release.id


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_reaches_the_engine(http, served, name):
    images = [("image", draw_image(number)) for number in range(OPERATIONS[name].images)]
    answer = http.post(f"/v1/models/today/{name}", files=images)
    if name in {"search", "embed"}:
        assert answer.status_code == 200
        assert OPERATIONS[name].answer.model_validate(answer.json()).release == served.id
    else:  # this release has no thresholds and no enrolled objects
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:glocal:conflict")


def test_a_batch_is_answered_in_order_and_a_bad_item_fails_alone(http, served):
    answers = http.post("/v1/models/today/search", files=[("images", draw_image(1)), ("images", b"x"), ("images", draw_image(2))])
    first, second, third = answers.json()["answers"]
    assert second["error"]["status"] == 422
    alone = search(http, draw_image(1), headers=BINARY).json()
    assert [each["id"] for each in first["neighbours"]] == [each["id"] for each in alone["neighbours"]]
    assert third["release"] == served.id


def test_the_data_of_the_release_that_answered_are_found_by_its_archive(home, served, old_release):
    folders = {release.pin.md5: home.datasets / release.pin.md5 for release in (served, old_release)}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    with local_client(home.serve) as client:
        for name, release in (("today", served), ("glocal", old_release)):
            answer = client.search(draw_image(0), 3, matches=True, model=name)
            assert fetched_data(home, name, answer) == {"": folders[release.pin.md5]}


def test_two_models_are_told_apart_and_a_version_that_is_not_there_is_a_404(http, old_release, served):
    releases = [http.post(f"/v1/models/{name}/search", content=draw_image(1)).json()["release"] for name in ("glocal", "today")]
    assert releases == [old_release.id, served.id]
    assert http.post("/v1/search", content=draw_image(1)).status_code == 422  # which of the two?
    for path in ("/v1/models/today/versions/99/search", "/v1/models/other/search", "/v1/models/other/versions/1/search"):
        answer = http.post(path, content=draw_image(1))
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_states_say_that_both_are_ready(http):
    assert http.get("/readyz").json() == {"ready": True}
    assert http.get("/v1/models/today/release").json()["model_version"] == "1"
    assert b"glocal_requests_total" in http.get("/metrics").content


@pytest.mark.parametrize("callers", [2, 16, 40])
def test_bodies_of_the_largest_size_at_once_cost_no_worker(home, http, callers):
    workers = server.status(home).models["today"].versions[0].workers
    body = draw_image(1) + bytes(MAX_BYTES - len(draw_image(1)))  # what follows a PNG's end is not read

    def one(_):
        return search(http, body, headers=BINARY).status_code

    with ThreadPoolExecutor(callers) as pool:
        seen = Counter(pool.map(one, range(callers)))
    assert set(seen) <= {200, 429, 503}, seen
    assert seen[200] >= min(callers, 4)
    assert search(http, draw_image(1), headers=BINARY).status_code == 200
    assert server.status(home).models["today"].versions[0].workers == workers

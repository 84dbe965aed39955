"""A real TorchServe with an archive of an old revision: what it answers to bodies of every kind, and how much it bears."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from model.files import read_json
from model.release import open_release
from serving.backends.torchserve import server as torchserve
from serving.backends.torchserve.archive import verify_archive
from serving.backends.torchserve.deployed import Deployed, write_deployed
from serving.golden import replay_golden
from serving.limits import MAX_BYTES
from serving.registry.store import open_client
from tests.support.promotions import register, to
from tests.support.releases import draw_image, make_release

pytestmark = pytest.mark.integration

OLD = Path(__file__).parents[1] / "fixtures" / "8feff62"
TWO_FIELDS = (
    "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n1\r\n' for name in "ab").encode() + b"--x--\r\n"
)
BINARY = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def old_release(tmp_path_factory):
    """The release in the archive that revision 8feff62 built."""
    folder = tmp_path_factory.mktemp("old")
    shutil.unpack_archive(OLD / "glocal-1.mar", folder, "zip")
    return open_release(folder / "release")


@pytest.fixture(scope="module")
def address(home, old_release, tmp_path_factory):
    """The endpoint of a home whose last deployment was revision 8feff62's, and then one of today's beside it."""
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
    write_deployed(home.serve.deployed, "glocal", entry)
    release = make_release(tmp_path_factory.mktemp("new") / "release")
    to(home, register(release, home, tmp_path_factory.mktemp("evidence"), name="today").version, "today")
    return torchserve.status(home).address


def ask(address, data, **options):
    return httpx.post(f"{address}/predictions/today", content=data, timeout=120, **options)


def test_an_archive_of_before_the_move_serves_and_answers_its_golden_queries(home, address, old_release):
    state = torchserve.status(home)
    assert (state.state, state.missing, sorted(state.models)) == ("serving", (), ["glocal", "today"])
    assert replay_golden(old_release, address, "glocal", "1") == 2
    assert read_json(home.serve.deployed)["glocal"]["release"] == old_release.id


def test_a_pyfunc_of_before_the_move_loads_and_predicts(old_release, tmp_path):
    import json

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


@pytest.mark.parametrize("field", ["image", "body", "data", "x"])
def test_the_only_field_of_a_form_is_the_image(address, field):
    answer = httpx.post(f"{address}/predictions/today", files={field: draw_image(1)}, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["neighbours"] == ask(address, draw_image(1), headers=BINARY).json()["neighbours"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"x=1&y=2", "application/x-www-form-urlencoded"),
        (draw_image(1), "multipart/form-data; boundary=x"),
        (TWO_FIELDS, "multipart/form-data; boundary=x"),
    ],
    ids=["fields", "no multipart", "two fields"],
)
def test_another_form_is_a_415_with_what_to_do(address, data, kind):
    answer = ask(address, data, headers={"content-type": kind})
    assert answer.status_code == 415
    assert "octet-stream" in answer.json()["hint"]


@pytest.mark.parametrize("data", [b"%zz=%", draw_image(1), bytes(range(256)) * 20, b"%" * 1000], ids=range(4))
def test_a_form_that_cannot_be_decoded_is_no_fault_of_the_server(address, data):
    assert 400 <= ask(address, data, headers={"content-type": "application/x-www-form-urlencoded"}).status_code < 500


def test_asking_without_a_body_is_a_422_that_says_what_to_send(address):
    for method in ("GET", "DELETE", "POST"):
        answer = httpx.request(method, f"{address}/predictions/today", timeout=30)
        assert answer.status_code == 422
        assert "POST" in answer.json()["hint"]


@pytest.mark.parametrize("callers", [2, 16, 40])
def test_bodies_of_the_largest_size_at_once_cost_no_worker(home, address, callers):
    workers = torchserve.status(home).models["today"].versions[0].workers
    body = draw_image(1) + bytes(MAX_BYTES - len(draw_image(1)))  # what follows a PNG's end is not read

    def one(_):
        return ask(address, body, headers=BINARY).status_code

    with ThreadPoolExecutor(callers) as pool:
        seen = Counter(pool.map(one, range(callers)))
    assert set(seen) <= {200, 413, 503}, seen
    assert seen[200] >= min(callers, 16)
    assert ask(address, draw_image(1), headers=BINARY).status_code == 200
    assert torchserve.status(home).models["today"].versions[0].workers == workers

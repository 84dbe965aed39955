"""The gateway over an engine in the same process, by HTTP as a client sends it."""

import base64
import logging
import os
from datetime import UTC, timedelta
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from model.errors import NotFound, Unavailable
from model.files import write_json
from model.home import Home
from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold
from serving.backends.port import Served
from serving.engine.engine import Engine
from serving.gateway import keys as keys_module
from serving.gateway.app import Models, make_app
from serving.gateway.keys import KeyFile, Scope, create_key
from serving.gateway.room import Room
from serving.gateway.samples import Samples
from serving.operations import OPERATIONS
from tests.support.detection import add_exemplars
from tests.support.releases import draw_image, make_parts, reseal

IMAGE, OTHER = draw_image(3), draw_image(4)


class InProcess:
    """A backend that asks an engine in this process; it may be made deaf."""

    def __init__(self, engine):
        self.engine, self.deaf, self.asked = engine, False, []

    async def ask(self, served, queries):
        if self.deaf:
            raise Unavailable("No worker is ready.", "Try again.")
        self.asked.append((served, list(queries)))
        return self.engine.answers(queries)

    async def ready(self, served):
        return not self.deaf


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    parts = make_parts(tmp_path_factory.mktemp("gateway") / "parts")
    found = {"0.01": {"threshold": 0.9}}
    calibration = Calibration(
        verify={"0.01": VerifyThreshold(threshold=0.9, true_accept_rate=1)}, identify={"0.01": IdentifyThreshold(**found["0.01"])}
    )
    add_exemplars(parts)
    write_json(parts / "calibration.json", calibration.model_dump())
    return Engine(reseal(parts, parts.with_name("release")).folder, version="2")


@pytest.fixture
def backend(engine):
    return InProcess(engine)


@pytest.fixture
def served(engine):
    return {"photos": Served("photos", "2", engine.release.id, engine.release.embedding_space_id)}


@pytest.fixture
def folder(tmp_path):
    return Home(tmp_path).serve


@pytest.fixture
def keys(folder):
    return folder.keys


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def client(backend, served, folder, keys, room):
    _, secret = create_key(folder, "shop", [Scope.CALLER])
    app = make_app(Models(backend, lambda: served), KeyFile(keys), room)
    with TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


def form(*images, **fields):
    return {"files": [("image", ("a.png", image)) for image in images], "data": fields}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("address", ["/v1/{}", "/v1/models/photos/{}", "/v1/models/photos/versions/2/{}"])
def test_every_operation_answers_at_every_address_and_names_its_model(client, engine, name, address):
    answer = client.post(address.format(name), **form(*[IMAGE] * OPERATIONS[name].images))
    assert answer.status_code == 200
    found = OPERATIONS[name].answer.model_validate(answer.json())
    assert (found.release, found.model_version) == (engine.release.id, "2")


def test_an_image_is_kept_only_where_a_share_is_set(backend, served, folder, keys, tmp_path):
    _, secret = create_key(folder, "shop", [Scope.CALLER])
    for share in (0, 1):
        samples = Samples(tmp_path / "samples", share)
        app = make_app(Models(backend, lambda: served), KeyFile(keys), samples=samples)
        with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
            assert client.post("/v1/search", content=IMAGE).status_code == 200
            client.portal.call(samples.finish)
        assert [file.read_bytes() for file in tmp_path.glob("samples/*.image")] == [IMAGE] * share


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", None])
def test_raw_bytes_form_and_json_give_the_same_answer(client, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    raw = client.post("/v1/search?k=2", content=IMAGE, headers=headers).json()
    text = base64.b64encode(IMAGE).decode()
    assert client.post("/v1/search", json={"image": text, "options": {"k": 2}}).json() == raw
    assert client.post("/v1/search", **form(IMAGE, k="2")).json() == raw
    assert len(raw["neighbours"]) == 2


def test_a_bad_image_of_a_batch_fails_alone_and_the_good_ones_take_one_pass(client, backend):
    answer = client.post("/v1/embed", files=[("images", IMAGE), ("images", b"no image"), ("images", OTHER)])
    first, second, third = answer.json()["answers"]
    assert answer.status_code == 200
    assert len(first["embedding"]) == len(third["embedding"])
    assert (second["error"]["status"], second["error"]["type"]) == (422, "urn:glocal:invalid-input")
    assert len(backend.asked) == 1


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic abc", "glocal_1_2"])
def test_no_key_or_a_wrong_one_is_401_with_one_audit_line(client, caplog, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    client.headers.pop("Authorization")
    with caplog.at_level(logging.WARNING, "glocal.gateway.audit"):
        answer = client.post("/v1/search", content=IMAGE, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(caplog.records) == 1
    assert answer.headers["X-Request-Id"] in caplog.text


@pytest.mark.parametrize(
    ("scope", "days", "status"), [(Scope.OPERATOR, None, 403), (Scope.CALLER, 1e-9, 401)], ids=["not allowed", "expired"]
)
def test_a_refused_key_that_is_known_is_named_in_both_logs(client, folder, caplog, scope, days, status):
    made, secret = create_key(folder, "shop", [scope], days=days)
    with caplog.at_level(logging.INFO, "glocal.gateway"):
        answer = client.post("/v1/search", content=IMAGE, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == status
    lines = {record.name: record.getMessage() for record in caplog.records}
    assert lines["glocal.gateway.audit"].endswith(f"key={made.id} POST /v1/search {status}")
    assert f"key={made.id} POST /v1/search {status}" in lines["glocal.gateway.access"]


@pytest.mark.parametrize(
    "path",
    [
        "//healthz",
        "/healthz/",
        "/healthz%2f",
        "/%68ealthz",
        "/v1/release",
        "/metrics",
        "/x",
    ],
)
def test_no_way_of_writing_a_path_gets_past_the_key(client, path):
    client.headers.pop("Authorization")
    assert client.get(path, headers={"Host": "x/healthz?"}).status_code in {401, 404}
    assert client.get("http://testserver/v1/release", headers={"Host": "healthz"}).status_code == 401


def test_what_lives_and_what_is_ready_is_said_without_a_key(client, backend):
    client.headers.pop("Authorization")
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"ready": True}
    backend.deaf = True
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_deaf_backend_is_503_with_a_time_to_try_again(client, backend):
    backend.deaf = True
    answer = client.post("/v1/search", content=IMAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_version_that_serves_and_is_not_up_yet_is_503_and_one_that_is_nowhere_is_404(client, backend, monkeypatch):
    async def ask(served, queries):
        raise NotFound("There is no such version.")

    monkeypatch.setattr(backend, "ask", ask)
    for address in ("/v1/search", "/v1/models/photos/search", "/v1/models/photos/versions/2/search"):
        answer = client.post(address, content=IMAGE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert client.post("/v1/models/photos/versions/3/search", content=IMAGE).status_code == 404


def test_what_finds_no_room_is_429_and_leaves_no_trace(client, room):
    room.max_requests = 0
    answer = client.post("/v1/search", content=IMAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    room.max_requests = 1
    assert client.post("/v1/search", content=IMAGE).status_code == 200
    assert (room.requests, room.bytes) == (0, 0)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_limit_is_413(client, room, monkeypatch, chunked):
    monkeypatch.setattr("serving.gateway.room.MAX_BODY", 1000)
    data = bytes(2000)
    answer = client.post("/v1/search", content=iter([data[:900], data[900:]]) if chunked else data)
    assert answer.status_code == 413
    assert (room.requests, room.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/guess", 404),
        ("/v1/models/other/search", 404),
        ("/v1/models/photos/guess", 404),
        ("/", 404),
        ("/v1/models/..%2f..%2fetc/search", 404),
    ],
)
def test_what_is_not_there_is_404(client, path, status):
    answer = client.post(path, content=IMAGE)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_another_method_is_405(client):
    answer = client.get("/v1/search")
    assert (answer.status_code, answer.json()["type"]) == (405, "urn:glocal:not-allowed")


@pytest.mark.parametrize("options", ["k=0", "k=x", "limit=3", "&".join(f"a{number}=1" for number in range(20))])
def test_options_that_cannot_be_used_are_422(client, options):
    assert client.post(f"/v1/search?{options}", content=IMAGE).status_code == 422


def test_with_several_models_one_must_be_named(client, served):
    served["birds"] = Served("birds", "1")
    answer = client.post("/v1/search", content=IMAGE)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Ask /v1/models/NAME/...: birds, photos.")
    assert client.post("/v1/models/photos/search", content=IMAGE).status_code == 200
    served.clear()
    assert client.post("/v1/search", content=IMAGE).status_code == 503


def test_a_request_keeps_its_id_and_a_strange_one_is_replaced(client):
    assert client.get("/healthz", headers={"X-Request-Id": "order-7"}).headers["X-Request-Id"] == "order-7"
    made = client.get("/healthz", headers={"X-Request-Id": "a b\tc<script>"}).headers["X-Request-Id"]
    assert made != "a b\tc<script>"
    assert len(made) == 16


def test_a_fault_of_ours_is_500_without_its_trace(client, backend, monkeypatch):
    monkeypatch.setattr(backend, "ask", lambda *_: 1 / 0)
    answer = client.post("/v1/search", content=IMAGE)
    assert answer.status_code == 500
    assert "division" not in answer.text


def test_metrics_count_requests_scores_and_what_was_unknown(client, engine):
    client.post("/v1/identify", content=IMAGE)
    client.post("/v1/search", content=b"no image")
    text = client.get("/metrics").text
    release = engine.release.id
    assert 'glocal_requests_total{operation="identify",status="200"} 1.0' in text
    assert 'glocal_requests_total{operation="search",status="422"} 1.0' in text
    assert f'glocal_identified_total{{known="true",release="{release}"}} 1.0' in text
    assert f'glocal_best_score_count{{release="{release}"}} 1.0' in text
    assert "glocal_requests_held 0.0" in text


def test_what_serves_is_said_with_its_release_and_space(client, engine):
    said = client.get("/v1/release").json()
    assert said == client.get("/v1/models/photos/release").json()
    assert (said["release"], said["embedding_space_id"]) == (engine.release.id, engine.release.embedding_space_id)


@pytest.mark.parametrize("damage", ["text", "folder", "link to itself"])
def test_keys_that_cannot_be_read_admit_nobody_and_no_caller_learns_where_they_are(client, keys, caplog, damage):
    keys.unlink()
    if damage == "text":
        keys.write_text("{")
    elif damage == "folder":
        keys.mkdir()
    else:
        keys.symlink_to(keys)
    with caplog.at_level(logging.ERROR, "glocal.gateway"):
        answer = client.post("/v1/search", content=IMAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert str(keys) not in answer.text
    assert str(keys) in caplog.text
    assert client.get("/healthz").status_code == 200


def test_a_key_lasts_by_the_clock_as_it_is_also_where_it_is_set_ahead_and_back(client, folder, monkeypatch):
    _, secret = create_key(folder, "shop", [Scope.CALLER], days=1)
    right = keys_module.datetime
    for hours, status in ((0, 200), (25, 401), (0, 200), (-25, 200)):
        moment = right.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(keys_module, "datetime", SimpleNamespace(now=lambda zone, moment=moment: moment))
        answer = client.post("/v1/search", content=IMAGE, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == status, hours
    assert client.post("/v1/search", content=IMAGE).status_code == 200  # a key without an end


def test_a_revoked_key_admits_no_more_also_where_the_clock_was_set_back(client, keys):
    changed = keys.stat().st_mtime
    write_json(keys, [])
    os.utime(keys, (changed, changed))
    assert client.get("/v1/release").status_code == 401
    os.utime(keys, (changed - 3600, changed - 3600))
    assert client.get("/v1/release").status_code == 401


def test_a_revoked_key_admits_no_more(client, folder, keys):
    assert client.get("/v1/release").status_code == 200
    write_json(keys, [])
    assert client.get("/v1/release").status_code == 401

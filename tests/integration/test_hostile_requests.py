"""Bad and hostile requests to the whole endpoint, as it runs: refused with a 4xx, in bounded memory, and it answers on."""

import base64
import contextlib
import json
import socket
import struct
import time
from urllib.parse import quote

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from serving import server
from serving.gateway.keys import Scope, create_key
from serving.limits import MAX_BODY
from serving.local import read_key
from serving.operations import OPERATIONS
from serving.processes import wait_until
from tests.support.encoded import blobs, encode, every_kind, exif, many_scans, sized_png
from tests.support.memory import Peak
from tests.support.promotions import register, to
from tests.support.releases import ENTRIES, draw_image, huge_png, make_full_release

pytestmark = pytest.mark.integration

NAME = "drawn"
IMAGE = draw_image(1)
FLAT_MB = 2.5 * MAX_BODY / 2**20
"""Growth within which memory counts as flat: a body of the largest size, its parts, and what was read of the next."""


@pytest.fixture(scope="module")
def state(home, tmp_path_factory):
    """The endpoint, with a release that offers every operation."""
    release = make_full_release(tmp_path_factory.mktemp("full") / "release")
    to(home, register(release, home, tmp_path_factory.mktemp("evidence"), name=NAME).version, NAME)
    return server.status(home)


@pytest.fixture(scope="module")
def key(home, state):
    return read_key(home.serve)


@pytest.fixture(scope="module")
def http(state, key):
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=state.address, headers=headers, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def send(state, key):
    """Send bytes as they are; returns what comes back until the other side closes."""
    host, port = state.address.removeprefix("http://").split(":")

    def send(*parts, keyed=True, closes=True):
        received = b""
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            with contextlib.suppress(ConnectionError):  # where it was refused while we were still sending
                for part in parts:
                    raw.sendall(part.replace(b"KEY", f"Authorization: Bearer {key}".encode()) if keyed else part)
                if not closes:
                    raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while part := raw.recv(2**16):
                    received += part
        return received

    return send


@pytest.fixture(autouse=True)
def answers_on(http, state, home):
    """After each test the same worker answers."""
    yield
    assert http.post("/v1/search", content=IMAGE).status_code == 200
    assert [each.pid for each in server.status(home).models[NAME].versions[0].workers] == [worker(state).pid]


def worker(state):
    return state.models[NAME].versions[0].workers[0]


def audit(home):
    return (home.serve.gateway_logs / "audit.log").read_text().splitlines()


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def test_a_missing_wrong_or_expired_key_is_a_401_and_one_that_may_not_a_403_with_one_line_each_in_the_audit_log(home, http):
    _, expired = create_key(home.serve, "soon over", [Scope.CALLER], days=1e-9)
    no_caller, operators = create_key(home.serve, "operates", [Scope.OPERATOR])
    wrong = f"glocal_{no_caller.id}_{operators.rpartition('_')[2][:-1]}"
    before = audit(home)
    refused = ["", "Bearer glocal_00000000_x", f"Bearer {expired}", f"Bearer {wrong}", "Basic eA==", f"Bearer {operators}"]
    for number, authorization in enumerate(refused, 1):
        answer = http.post("/v1/search", content=IMAGE, headers={"Authorization": authorization})
        status = 403 if authorization.endswith(operators) else 401
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert wait_until(lambda written=number: len(audit(home)) == len(before) + written, deadline_s=5, pause_s=0.01)
        assert answer.headers["x-request-id"] in audit(home)[-1]
        assert audit(home)[-1].endswith(f"POST /v1/search {status}")
    assert no_caller.id in audit(home)[-1]
    assert operators.rpartition("_")[2] not in "".join(audit(home))


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/release HTTP/1.1\r\nHost: x/healthz?",
        b"GET http://x/healthz/../v1/release HTTP/1.1\r\nHost: x",
        b"GET //v1/release HTTP/1.1\r\nHost: x",
        b"GET /./v1/release HTTP/1.1\r\nHost: x",
        b"GET /healthz/../v1/release HTTP/1.1\r\nHost: x",
        b"GET /healthz%2f..%2fv1/release HTTP/1.1\r\nHost: x",
        b"GET /v1%2frelease HTTP/1.1\r\nHost: x",
        b"GET /healthz;/v1/release HTTP/1.1\r\nHost: x",
        b"GET /v1/release#/healthz HTTP/1.1\r\nHost: x",
        b"GET /v1/release?/healthz HTTP/1.1\r\nHost: x\r\nX-Original-URL: /healthz\r\nX-Forwarded-Prefix: /healthz",
        b"GET /metrics HTTP/1.1\r\nHost: x",
    ],
)
def test_no_way_of_writing_an_address_gets_past_the_key(send, line):
    answer = send(line + b"\r\nConnection: close\r\n\r\n", keyed=False)
    assert status_of(answer) == 401
    assert b"embedding_space_id" not in answer


def test_no_port_is_open_to_another_host(home, state):
    """Every port of gateway and server, at every address that this machine has beside 127.0.0.1."""
    ports = {
        connection.laddr.port
        for pid in (state.pid, state.gateway_pid, worker(state).pid)
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(ports) >= 5
    addresses = {each.address for found in psutil.net_if_addrs().values() for each in found if each.family == socket.AF_INET}
    for address in addresses - {"127.0.0.1"} | {"127.0.0.2"}:
        for port in ports:
            with socket.socket() as raw:
                raw.settimeout(5)
                assert raw.connect_ex((address, port)) != 0, (address, port)


def post(framing, content_type="application/octet-stream"):
    head = f"POST /v1/search HTTP/1.1\r\nHost: x\r\nKEY\r\nContent-Type: {content_type}\r\nConnection: close\r\n{framing}\r\n\r\n"
    return head.encode()


UNREAD = {"chunked", "more than said"}
"""Bodies whose rest is still under way when they are refused: the connection may break before the answer was read."""


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ([post(f"Content-Length: {MAX_BODY + 1}")], {413}),
        ([post("Content-Length: 999999999999999")], {413}),
        ([post("Content-Length: 9999999999999999999999")], {400}),
        ([post("Content-Length: -1")], {400}),
        ([post("Content-Length: 5\r\nContent-Length: 6"), b"abcde"], {400}),
        ([post("Content-Length: 5\r\nTransfer-Encoding: chunked"), b"5\r\nabcde\r\n0\r\n\r\n"], {400}),
        ([post("Transfer-Encoding: chunked"), b"fffffffffffffffff\r\n"], {400}),
        ([post("Transfer-Encoding: chunked"), *[b"100000\r\n" + bytes(2**20) + b"\r\n"] * 200, b"0\r\n\r\n"], {413}),
        ([post("Content-Length: 3"), b"abc", bytes(2**20), b"\r\n\r\n"], {400, 422}),
    ],
    ids=["said", "far beyond", "endless", "negative", "two lengths", "both", "a huge chunk", "chunked", "more than said"],
)
def test_a_body_beyond_the_limit_or_with_a_length_that_lies_is_refused_with_memory_flat(state, send, request, parts, statuses):
    with Peak(state.gateway_pid) as gateway, Peak(worker(state).pid) as engine, Peak(state.pid) as java:
        answer = send(*parts)
    if answer or request.node.callspec.id not in UNREAD:
        assert status_of(answer) in statuses
    assert gateway.mb < FLAT_MB
    assert max(engine.mb, java.mb) < 32


def test_a_body_that_is_shorter_than_it_says_is_not_answered(send):
    assert send(post("Content-Length: 100"), b"abc", closes=False) == b""


def test_a_head_of_any_size_is_refused_without_a_key_and_with_memory_flat(state, send):
    with Peak(state.gateway_pid) as gateway:
        for part in (b"GET /healthz HTTP/1.1\r\nX: ", b"GET /healthz?", b"GET /healthz HTTP/1.1\r\n"):
            answer = send(part, *[b"a" * 2**20] * 200, keyed=False)
            assert not answer or status_of(answer) == 400
    assert gateway.mb < 16


FORM = "multipart/form-data; boundary=xyz"


def part(content=b"", name="image", file="a.png", more=""):
    said = f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n{more}\r\n'
    return said.encode() + content + b"\r\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (part(name="x") * 10_000, 413),
        (part(IMAGE) + part(name="x", more="X: " + "a" * 2**20 + "\r\n"), 422),
        (part(IMAGE) + part(name="x", more="X: a\r\n" * 10_000), 422),
        (part(IMAGE, file="x" * 2**20), 422),
        (part(b"\r\n--xyzz" * 2**20), 413),
        (part(IMAGE, name="x" * 5000), 422),
    ],
    ids=["10,000 parts", "a huge header", "10,000 headers", "a huge name of a file", "near boundaries", "a huge name"],
)
def test_forms_without_measure_are_refused_with_memory_flat(state, http, body, status):
    with Peak(state.gateway_pid) as gateway:
        answer = http.post("/v1/search", content=body + b"--xyz--\r\n", headers={"Content-Type": FORM})
    assert answer.status_code == status
    assert gateway.mb < FLAT_MB


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'"":0,'])
def test_json_of_millions_of_values_is_refused_with_memory_flat(state, http, unit):
    body = b'{"queries":[' + unit * (20 * 2**20 // len(unit)) + b"0]}"
    with Peak(state.gateway_pid) as gateway:
        answer = http.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert gateway.mb < FLAT_MB


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..\\evil.png", "C:\\evil.png", "/tmp/evil.png", "%2e%2e%2fevil.png", "evil.png\0"]
)
def test_a_clients_name_of_a_file_is_never_a_path(home, http, name):
    for field in ("image", name):
        answer = http.post(
            "/v1/search", content=part(IMAGE, name=field, file=name) + b"--xyz--\r\n", headers={"Content-Type": FORM}
        )
        assert answer.status_code == (200 if field == "image" else 422)
        assert "evil" not in str([path.name for path in home.root.rglob("*evil*")])
    for address in (f"/v1/models/{name}/search", f"/v1/models/{NAME}/versions/{name}/search"):
        assert http.post(httpx.URL(address.replace("\0", "%00")), content=IMAGE).status_code == 404


SOON_S = 5.0
"""Seconds for two refusals. Decoding what is refused here would take many times as long."""
BAD = {
    "empty": (b"", "There is no image."),
    "text": (b"I am a text", "no image of a known format"),
    "cut": (encode(blobs(), "JPEG")[:300], "damaged"),
    "TIFF": (encode(blobs(), "TIFF"), "a TIFF image, which is not decoded"),
    "EPS": (encode(blobs(), "EPS"), "which is not decoded"),
    "PSD": (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 40, 60, 8, 3) + bytes(100), "which is not decoded"),
    "SVG": (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///x"/></svg>',
        "which is not decoded",
    ),
    "pickle": (b"\x80\x04cos\nsystem\n(S'id'\ntR.", "no image of a known format"),
    "bomb": (huge_png(), "pixels, more than 50000000."),
    "animation": (
        encode(blobs(), "GIF", save_all=True, append_images=[blobs(number) for number in range(1, 300)]),
        "animation",
    ),
    "a thin one": (sized_png(10, 30_000), "times the other"),
    "scans": (many_scans(10**5), "scans"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream"])
def test_what_is_no_image_is_refused_with_a_fixed_message_and_memory_flat(state, http, name, kind):
    data, said = BAD[name]
    began = time.monotonic()
    with Peak(worker(state).pid) as engine:
        answers = [
            http.post(f"/v1/{operation}", content=data, headers={"Content-Type": kind}) for operation in ("search", "detect")
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert said in answer.json()["title"]
    assert engine.mb < 32
    assert time.monotonic() - began < SOON_S


def test_addresses_are_never_fetched(http):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        here = f"http://127.0.0.1:{listening.getsockname()[1]}/a.png"
        for address in (here, "http://169.254.169.254/latest/", "http://[::1]/", "file:///etc/passwd", "//127.0.0.1/a.png"):
            encoded = base64.b64encode(address.encode()).decode()
            bodies = [
                {"image": address},
                {"image": encoded},
                {"image": {"url": address}},
                {"url": address},
                {"images": [address]},
            ]
            bodies += [{"image": encoded, "options": {"label": address}}, {"queries": [{"image": address}]}]
            for body in bodies:
                answer = http.post("/v1/search", json=body)
                refused = answer.json()["answers"][0]["error"]["status"] if "queries" in body else answer.status_code
                assert refused == 422, body
            for field in ("image", "url", "images"):
                answer = http.post("/v1/search", files={field: (address, address.encode(), "image/png")})
                assert answer.status_code in {200, 422}
                assert "neighbours" not in answer.text
            headers = {"Content-Type": "text/uri-list", "Content-Location": address, "Referer": address, "X-Image-URL": address}
            assert http.post("/v1/search", content=address.encode(), headers=headers).status_code == 415
            assert http.post("/v1/search", params={"url": address}, content=IMAGE).status_code == 422
            quoted = quote(address, safe="")
            for place in (f"/v1/models/{quoted}/search", f"/v1/models/{NAME}/versions/{quoted}/search"):
                assert http.post(place, params={"url": address}, content=IMAGE).status_code == 404
        with pytest.raises(BlockingIOError):
            listening.accept()


def odd_images():
    """Images that are unusual and whole, by name."""
    tall = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 10, 3), dtype=np.uint8))
    return every_kind() | {
        "1 x 1": encode(Image.new("RGB", (1, 1), "red")),
        "10 x 1000": encode(tall),
        "rotated": encode(blobs(), "JPEG", exif=exif(6)),
        "cmyk": encode(blobs().convert("CMYK"), "JPEG"),
        "blank": encode(Image.new("RGB", (64, 64), "white")),
        "1 x 10,000": encode(Image.new("RGB", (1, 10_000))),
    }


@pytest.mark.parametrize("kind", odd_images())
def test_an_unusual_image_is_answered_or_refused_by_every_operation_and_never_a_fault(http, kind):
    data = odd_images()[kind]
    for name, operation in OPERATIONS.items():
        answer = http.post(f"/v1/{name}", files=[("image", data)] * operation.images)
        assert answer.status_code == (422 if kind == "1 x 10,000" else 200), (name, answer.text)


def test_k_of_nothing_is_refused_and_k_beyond_the_gallery_is_all_of_it(http):
    for wrong in ("0", "-1", "1e9", "9" * 400, "nan", ""):
        assert http.post("/v1/search", params={"k": wrong}, content=IMAGE).status_code == 422, wrong
    found = http.post("/v1/search", params={"k": 1000}, content=IMAGE)
    assert len(found.json()["neighbours"]) == ENTRIES


def test_options_of_every_type_are_answered_or_refused(http):
    image = base64.b64encode(IMAGE).decode()
    for value in (None, True, -1, 2**70, 1e308, "x" * 1000, [], {}, "\ud800", "\0"):
        for option in ("k", "label", "group", "rerank", "min_score", "false_accept_rate"):
            for name, operation in OPERATIONS.items():
                body = json.dumps({"image": [image] * operation.images, "options": {option: value}}).encode(
                    "utf-8", "surrogatepass"
                )
                answer = http.post(f"/v1/{name}", content=body, headers={"Content-Type": "application/json"})
                assert answer.status_code in {200, 422}, (name, option, value, answer.text)


def test_one_bad_image_of_a_batch_fails_alone_whatever_is_wrong_with_it(http):
    bad = [data for data, _ in BAD.values() if data][:9]
    images = [("images", draw_image(1)), *[("images", data) for data in bad], ("images", draw_image(2))]
    first, *failed, last = http.post("/v1/search", files=images).json()["answers"]
    assert first["neighbours"][0]["id"] == "drawn/1.png"
    assert last["neighbours"][0]["id"] == "drawn/2.png"
    assert {each["error"]["status"] for each in failed} == {422}

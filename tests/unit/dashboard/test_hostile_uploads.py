"""Files and forms that nobody's browser sends: refused in one line, in little memory, and nothing is left of them."""

import base64
import contextlib
import io
import logging
import re
import shutil
import socket
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dashboard.security import guard
from dashboard.security.people import Role
from model.environment import Environment
from pipelines.actions.action import API, ASYNC
from pipelines.jobs.enrolment import enrol
from pipelines.jobs.job import FILES, latest_jobs
from tests.support.dashboard import ADDRESS, Browser, program, serving_dashboard, text
from tests.support.encoded import PNG_SIGNATURE, animation, blobs, chunk, encode, every_kind, many_scans, png_head, sized_png
from tests.support.jobs import idle_jobs
from tests.support.memory import Peak
from tests.support.releases import draw_image, huge_png, make_full_release
from tests.support.served import NAME, served_home

GALLERY, CORRECTIONS = f"{API}/models/{NAME}/gallery", f"{API}/corrections"
FLAT_MB = 64


def halves():
    """A file of each kind without its second half. Of a BMP of whole rows that is an image of which rows are missing, too."""
    return {f"half a {name}": data[: len(data) // 2] for name, data in every_kind().items()}


def lost(data):
    """A JPEG that has its end, and lost what was before it; one with a hole of zeros."""
    third = len(data) // 3
    return {"a cut JPEG": data[: 2 * third] + b"\xff\xd9", "a JPEG with a hole": data[:third] + bytes(third) + data[2 * third :]}


REFUSED = {
    **halves(),
    **lost(encode(blobs(size=(400, 400)), "JPEG", quality=90)),
    "nothing": b"",
    "a bomb": huge_png(),
    "a line": sized_png(1_000_000, 1),
    "all pixels there are": sized_png(2**31 - 1, 2**31 - 1),
    "no pixel": sized_png(0, 5),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "TIFF": encode(blobs(), "TIFF"),
    "an archive": b"PK\x03\x04" + bytes(100),
    "zeros": bytes(1000),
    "a GIF of two frames": animation("GIF"),
    "a WebP of two frames": animation("WEBP"),
    "a JPEG of 3000 scans": many_scans(3000),
}


def with_text():
    """A PNG with two megabytes of compressed text."""
    info = PngInfo()
    info.add_text("workflow", "abcdefg " * 300_000, zip=True)
    return encode(blobs(), pnginfo=info)


def heavy():
    """Images within the limits that take half a gigabyte while they are decoded: a PNG of 16 bits with alpha, a plain AVIF."""
    side = 3700
    packer, row = zlib.compressobj(1), bytes(1 + 8 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    stored = io.BytesIO()
    Image.new("RGB", (side, side)).save(stored, "AVIF", speed=10)
    return [PNG_SIGNATURE + png_head(side, side, 16, 6) + chunk(b"IDAT", rows) + chunk(b"IEND", b""), stored.getvalue()]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    return served_home(root, make_full_release(root / "release"))


@pytest.fixture(scope="module")
def environment(home):
    return Environment(home=home)


@pytest.fixture(scope="module")
def browser(environment):
    return Browser(environment, Role.OPERATOR)


@pytest.fixture(scope="module")
def shop(environment):
    return program(environment)


def left(home):
    """The files of the home but those that the monitor and locks leave, and the files without a name that are open here."""
    kept = {
        str(file)
        for file in home.root.rglob("*")
        if file.is_file() and not file.name.endswith(".lock") and "seen.json" not in file.name
    }
    held = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.add(str(descriptor.readlink()))
    return kept | {name for name in held if name.endswith("(deleted)")}


@pytest.fixture(autouse=True)
def nothing_is_left(home, browser, shop, caplog):
    """No test leaves a file, and none makes the dashboard note a fault of its own."""
    caplog.set_level(logging.WARNING)
    before = left(home)
    yield
    assert left(home) - before == set()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def mistakes(answer):
    """What a page says is wrong, one line each."""
    found = re.findall(r'class="(?:problem|mistake)"[^>]*>(.*?)</(?:div|span)>', answer.text, re.S)
    return [" ".join(re.sub("<[^>]+>", " ", each).split()) for each in found]


def encoded(data, name="a.jpg"):
    return {"name": name, "data": base64.b64encode(data).decode()}


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_that_is_none_is_refused_by_its_name_at_every_door(browser, shop, name):
    data = REFUSED[name]
    files = [("images", ("holiday.jpg", data, "image/jpeg"))]
    asked = browser.post("/try", {"model": NAME, "operation": "search"}, files=files)
    assert asked.status_code == 422
    assert mistakes(asked)[-1].startswith("holiday.jpg: ")
    refused = browser.post("/try/enrol", {"model": NAME, "label": "mug", "key": "0" * 16}, files=files)
    assert refused.status_code == 422
    (mistake,) = mistakes(refused)
    assert mistake.startswith("holiday.jpg: ")
    assert 'aria-describedby="images-mistake"' in refused.text
    for path, body in ((GALLERY, {"label": "mug"}), (CORRECTIONS, {"model": NAME, "labels": ["mug"]})):
        answer = shop.post(path, json={**body, "images": [encoded(data)]}, headers={"Prefer": ASYNC})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:glocal:invalid-input"), path


def test_odd_images_that_are_whole_are_refused_nowhere(browser, environment, monkeypatch):
    odd = {**every_kind(), "png with much text": with_text()}
    form = {"model": NAME, "operation": "search"}
    for name, data in odd.items():
        asked = browser.post("/try", form, files=[("images", ("a.png", data, "text/html"))])
        assert (asked.status_code, "The endpoint does not run." in asked.text) == (503, True), name
    with idle_jobs(monkeypatch):
        files = [("images", (name, data, "")) for name, data in odd.items()]
        begun = browser.post("/try/enrol", {"model": NAME, "label": "mug", "key": "1" * 16}, files=files)
        assert begun.status_code == 303, mistakes(begun)
        (job,) = latest_jobs(environment.home, enrol)
        shutil.rmtree(job.folder)


def test_an_image_whose_decoding_takes_much_memory_is_not_decoded_here(browser, shop, environment, monkeypatch):
    images = heavy()
    form = {"model": NAME, "operation": "search"}
    with idle_jobs(monkeypatch), Peak() as peak:
        for number, data in enumerate(images):
            files = [("images", ("a.png", data, "image/png"))]
            assert browser.post("/try", form, files=files).status_code == 503  # of the endpoint, which would be asked
            begun = browser.post("/try/enrol", {"model": NAME, "label": "mug", "key": str(number) * 16}, files=files)
            assert begun.status_code == 303
            shutil.rmtree(latest_jobs(environment.home, enrol)[0].folder)
            body = {"model": NAME, "images": [encoded(data)], "labels": ["mug"], "box": [0, 0, 9, 9]}
            refused = shop.post(CORRECTIONS, json=body)
            assert (refused.status_code, "12 million pixels" in refused.json()["title"]) == (422, True)
    assert peak.mb < FLAT_MB


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\a.jpg",
        "C:\\a.jpg",
        "a\0.jpg",
        "\u202egpj.exe",
        "<script>alert(1)</script>",
        "\n",
        "x" * 200,
    ],
)
def test_the_name_of_a_file_is_never_a_path_and_is_shown_harmless(browser, shop, environment, monkeypatch, name):
    bad = browser.post("/try/enrol", {"model": NAME, "label": "mug"}, files=[("images", (name, b"none", "image/jpeg"))])
    assert bad.status_code == 422
    assert not any(each in bad.text for each in ("\0", "\u202e", "<script>alert"))
    with idle_jobs(monkeypatch):
        body = {"label": "mug", "images": [encoded(draw_image(1), name)]}
        assert shop.post(GALLERY, json=body, headers={"Prefer": ASYNC}).status_code == 202
        (job,) = latest_jobs(environment.home, enrol)
        assert [file.name for file in (job.folder / FILES).iterdir()] == ["0"]
        assert not any(each in job.record.arguments["images"][0] for each in "\0\u202e\n")
        shutil.rmtree(job.folder)


def parts(*heads, content=b"v", end=b"--x--\r\n"):
    return b"".join(b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head in heads) + end


def named(name, more=b""):
    return b'Content-Disposition: form-data; name="' + name + b'"' + more


FORM = "multipart/form-data; boundary=x"
ONE = parts(named(b"label"), content=b"\xff\xfe")
FORMS = {
    "ten thousand fields": (FORM, parts(*(named(b"%d" % number) for number in range(10_000)))),
    "ten thousand files": (FORM, parts(*(named(b"images", b'; filename="%d.jpg"' % number) for number in range(10_000)))),
    "a name of a megabyte": (FORM, parts(named(b"n" * 10**6))),
    "a file name of a megabyte": (FORM, parts(named(b"images", b'; filename="' + b"n" * 10**6 + b'"'))),
    "ten thousand headers": (FORM, parts(b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + named(b"a"))),
    "a field of three megabytes": (FORM, parts(named(b"label"), content=b"n" * 3 * 10**6)),
    "no end": (FORM, parts(named(b"images", b'; filename="a.jpg"'), end=b"")[:-20]),
    "no name": (FORM, parts(b'Content-Disposition: form-data; filename="a.jpg"')),
    "no disposition": (FORM, parts(b"X: y")),
    "no boundary": ("multipart/form-data", ONE),
    "an empty boundary": ("multipart/form-data; boundary=", ONE),
    "a boundary of five kilobytes": ("multipart/form-data; boundary=" + "x" * 5000, ONE),
    "nothing": (FORM, b""),
    "noise": (FORM, bytes(range(256)) * 40),
    **{
        f"the encoding {each}": (f"{FORM}; charset={each}", ONE)
        for each in ("undefined", "punycode", "idna", "rot13", "zlib", "\\")
    },
    "plain text": ("text/plain", ONE),
    "JSON": ("application/json", b"{}"),
    "no type": ("", ONE),
    "ten thousand values": ("application/x-www-form-urlencoded", b"a=b&" * 10_000),
}
PAGES = ("/try", "/try/enrol", "/try/corrections", "/models/lineage", f"/data/{NAME}/alike", "/data/import", "/runs/new")


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_cannot_be_read_is_refused_by_every_page_in_a_line(browser, name):
    kind, body = FORMS[name]
    for path in PAGES:
        headers = {"Origin": ADDRESS, "Content-Type": kind, "X-CSRF-Token": browser.csrf, "Accept": "text/html"}
        answer = browser.client.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (path, text(answer)[:300])
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"[" * 900_000,
        b'{"label": "mug", "images": ' + b"[" * 900_000,
        b"\xff",
        b"1" * 900_000,
        b'{"label": "\\ud800", "images": []}',
        b'{"label": 1e999}',
        b'{"label": "mug", "images": [' + b",".join([b'{"name": "x", "data": ""}'] * 2000) + b"]}",
        b'{"label": "mug", "images": [{"name": "\\ud800", "data": ""}]}',
        b'{"label": "mug", "images": [{"name": "' + b"x" * 300 + b'", "data": ""}]}',
        b'{"label": "mug", "images": [{"name": "x", "data": "no base64!"}]}',
    ],
)
def test_json_that_cannot_be_read_is_a_problem_document(shop, body):
    for path in (GALLERY, CORRECTIONS):
        answer = shop.post(path, content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["title"]) < 300


def test_photographs_come_by_json_and_what_would_take_much_memory_is_not_parsed(shop, monkeypatch):
    photograph = encode(blobs(size=(1500, 1000)), "JPEG", quality=95) + bytes(3 * 2**20)  # as large as those of a camera
    body = {"label": "mug", "images": [encoded(photograph)]}
    with idle_jobs(monkeypatch):
        answer = shop.post(GALLERY, json=body, headers={"Prefer": ASYNC, "Idempotency-Key": "one"})
        assert answer.status_code == 202
        (job,) = latest_jobs(shop.app.state.environment.home, enrol)
        shutil.rmtree(job.folder)
    values = b"[" + b"[]," * guard.MAX_VALUES + b"[]]"
    with Peak() as peak:
        assert shop.post(GALLERY, content=values, headers={"Content-Type": "application/json"}).status_code == 413
    assert peak.mb < FLAT_MB


def test_bodies_under_way_together_are_bounded_and_room_comes_back(browser, monkeypatch):
    monkeypatch.setattr(guard, "MAX_HELD", 100_000)
    files = [("images", ("a.jpg", bytes(200_000), "image/jpeg"))]
    for _ in range(2):
        answer = browser.post("/try", {"model": NAME}, files=files)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    assert browser.post("/try", {"model": NAME, "operation": "search"}).status_code == 422  # as small as it is


@pytest.fixture(scope="module")
def address(environment):
    with serving_dashboard(environment) as address:
        yield address


@pytest.fixture
def send(address, environment, browser):
    """Send a head and a body as they are, and read what is answered, or close the connection before that."""

    def send(path, *parts, waits=True, **headers):
        host = address.removeprefix("http://")
        cookie = f"glocal_{host.rpartition(':')[2]}={browser.client.cookies[browser.app.state.cookie]}"
        given = {
            "Host": host,
            "Origin": address,
            "Cookie": cookie,
            "X-CSRF-Token": browser.csrf,
            "Connection": "close",
            **headers,
        }
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items()) + "\r\n"
        with socket.create_connection(host.split(":"), timeout=30) as raw:
            raw.sendall(head.encode())
            for part in parts:
                raw.sendall(part)
            return b"".join(iter(lambda: raw.recv(2**16), b"")) if waits else b""

    return send


@pytest.mark.parametrize("length", ["5000000000", "9" * 40, "-5", "+5", "0x5", "5, 6", ""])
def test_a_length_that_is_a_lie_is_refused_before_anything_is_read(send, length):
    with Peak() as peak:
        answer = send("/try", **{"Content-Type": FORM, "Content-Length": length})
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer[:200]
    assert peak.mb < FLAT_MB


@pytest.fixture
def ended(monkeypatch):
    """Set when the dashboard is done with a request."""
    event, release = threading.Event(), guard._Body.release

    def released(body):
        release(body)
        event.set()

    monkeypatch.setattr(guard._Body, "release", released)
    return event


@pytest.mark.parametrize("path", PAGES)
def test_a_body_that_stops_half_way_leaves_nothing_and_is_no_fault(send, ended, path):
    half = parts(named(b"images", b'; filename="a.jpg"'), content=bytes(3 * 2**20), end=b"")
    send(path, half, waits=False, **{"Content-Type": FORM, "Content-Length": str(10 * 2**20)})
    assert ended.wait(10)
    assert send("/try", **{"Content-Type": FORM, "Content-Length": "0"}).startswith(b"HTTP/1.1 4")  # it answers on


def test_a_body_without_a_length_is_read_within_the_same_limits(send, monkeypatch):
    monkeypatch.setattr(guard, "MAX_FILES", 10_000)
    chunks = b"".join(b"%x\r\n%s\r\n" % (1000, b"x" * 1000) for _ in range(100)) + b"0\r\n\r\n"
    answer = send("/try", chunks, **{"Content-Type": FORM, "Transfer-Encoding": "chunked"})
    assert answer.startswith(b"HTTP/1.1 413")

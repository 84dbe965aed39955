"""Who may see and change what on the dashboard."""

import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from dashboard.security import guard
from dashboard.security.people import Role
from dashboard.security.sessions import Sessions, make_link, use_link
from model.environment import Environment
from model.errors import Unauthorized
from model.home import Home
from pipelines.actions.action import API
from serving.gateway.keys import Scope, create_key
from tests.support.dashboard import ADDRESS, Browser, addresses, serving_dashboard

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
OPEN = {"/enter", "/leave", "/healthz", "/static", "/"}
"""Addresses that need nobody signed in: they show nothing of the home."""


@pytest.fixture
def environment(tmp_path):
    return Environment(home=Home.at(tmp_path / "home"))


@pytest.fixture
def folder(environment):
    return environment.home.dashboard


def filled(path):
    return path.replace("{", "").replace("}", "").split(":")[0]


def test_no_page_is_shown_to_whoever_has_not_signed_in(environment):
    stranger = Browser(environment, role=None)
    for path, method in addresses(stranger.app):
        if path not in OPEN and method not in {"HEAD", "OPTIONS"}:
            answer = stranger.client.request(method, filled(path), headers={"Origin": ADDRESS, "Accept": "text/html"})
            assert answer.status_code in {401, 404, 422} if method == "GET" else answer.status_code in {401, 403, 422}, (
                path,
                method,
            )
            assert "This page is for people" in answer.text or answer.status_code != 401


def test_every_change_wants_the_form_of_its_session(environment):
    browser = Browser(environment)
    for path, method in addresses(browser.app):
        if method in UNSAFE:
            answer = browser.client.request(method, filled(path), headers={"Origin": ADDRESS}, data={"csrf": "x"})
            assert answer.status_code == 403, (path, method)


def test_a_viewer_changes_nothing_of_runs_models_and_data(environment):
    """On its pages and with a key: what a viewer may send is listed here."""
    may = {"/leave", "/health/look", "/try", "/try/corrections", f"{API}/corrections", "/models/lineage"}
    may |= {f"/data/{{reference}}/{looked}" for looked in ("alike", "look-alikes", "diff")}
    may |= {f"{API}/data/{{before}}/diff", f"{API}/data/{{data}}/look-alikes"}
    viewer = Browser(environment, role=Role.VIEWER)
    _, secret = create_key(environment.home.serve, "robot", [Scope.CALLER])
    for path, method in addresses(viewer.app):
        if method in UNSAFE and path not in may:
            headers = {"Origin": ADDRESS, "X-CSRF-Token": viewer.csrf, "Accept": "text/html"}
            assert viewer.client.request(method, filled(path), headers=headers).status_code == 403, (path, method)
            with_key = {"Authorization": f"Bearer {secret}"}
            assert viewer.client.request(method, filled(path), headers=with_key).status_code == 403, (path, method)


def test_no_change_is_made_for_another_sites_page(environment):
    browser = Browser(environment)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": ADDRESS + "0"},
    ):
        answer = browser.client.post("/leave", data={"csrf": browser.csrf}, headers=headers)
        assert answer.status_code == 403, headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8090", "", "localhost.:1@evil", "[::2]:8090"])
def test_a_host_that_is_not_ours_is_refused(environment, host):
    assert Browser(environment).client.get("/health", headers={"Host": host}).status_code == 403


def test_the_address_of_the_setting_is_ours(environment):
    assert Browser(environment).client.get("/healthz", headers={"Host": "localhost:8090"}).status_code == 200


def test_every_answer_forbids_scripts_and_addresses_of_others(environment):
    browser = Browser(environment)
    for path in ("/enter", "/nothing", "/static/style.css", "/healthz"):
        policy = browser.get(path).headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy


def test_a_link_signs_in_once(environment, folder):
    browser = Browser(environment, role=None)
    link = make_link(folder, ADDRESS).removeprefix(ADDRESS)
    entered = browser.get(link)
    assert entered.status_code == 303
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "SameSite=lax" in entered.headers["set-cookie"]
    assert Browser(environment, role=None).get(link).status_code == 401


def test_a_new_link_ends_the_one_before(environment, folder):
    first = make_link(folder, ADDRESS).partition("token=")[2]
    second = make_link(folder, ADDRESS).partition("token=")[2]
    with pytest.raises(Unauthorized):
        use_link(folder, first)
    use_link(folder, second)


def test_the_token_of_a_link_is_not_stored_and_ends(environment, folder):
    token = make_link(folder, ADDRESS).partition("token=")[2]
    assert token not in folder.link.read_text()
    stored = json.loads(folder.link.read_text())
    folder.link.write_text(json.dumps({**stored, "until": time.time() - 1}))
    with pytest.raises(Unauthorized, match="expired"):
        use_link(folder, token)


def test_a_session_of_another_home_is_nobodys(environment, folder, tmp_path):
    other = Sessions(Home.at(tmp_path / "other").dashboard)
    assert Sessions(folder).person(other.begin("eve", Role.ADMIN)) is None
    assert Sessions(folder).person("x.y.z") is None
    assert Sessions(folder).person(Sessions(folder).begin("ana", Role.VIEWER)).role is Role.VIEWER


def test_the_secret_is_for_its_owner_alone(environment, folder):
    Sessions(folder)
    assert folder.secret.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ['{"secret": ""}', '{"secret": null}', '{"secret": "guessed"}', "[]", "", "[" * 100_000])
def test_a_secret_that_anybody_could_guess_is_made_anew(environment, folder, damage):
    kept = Sessions(folder).key
    folder.secret.write_text(damage)
    made = Sessions(folder).key
    assert len(made) >= 48
    assert made != kept
    assert folder.secret.stat().st_mode & 0o077 == 0
    assert Sessions(folder).key == made


def test_a_key_signs_a_program_in(environment):
    _, secret = create_key(environment.home.serve, "robot", [Scope.CALLER])
    browser = Browser(environment, role=None)
    assert browser.get("/health", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert browser.get("/health", headers={"Authorization": "Bearer glocal_00000000_x"}).status_code == 401
    assert browser.get("/health", headers={"Authorization": f"Basic {secret}"}).status_code == 401


def test_a_proxys_header_counts_from_the_proxy_alone(tmp_path):
    named = {
        "home": Home.at(tmp_path),
        "dashboard_user_header": "X-Forwarded-User",
        "dashboard_admins": ("ana",),
        "dashboard_viewers": ("bo",),
    }
    headers = {"X-Forwarded-User": "ana"}
    far = Browser(Environment(**named), role=None)  # the test client's address is no network of a proxy
    assert far.get("/health", headers=headers).status_code == 401
    near = TestClient(far.app, base_url=ADDRESS, client=("127.0.0.1", 5000), follow_redirects=False)
    shown = near.get("/health", headers=headers)
    assert shown.status_code == 200
    assert "ana" in shown.text
    assert "admin" in shown.text
    assert near.get("/health", headers={"X-Forwarded-User": "bo"}).status_code == 200
    assert near.get("/health", headers={"X-Forwarded-User": "eve"}).status_code == 401  # she has no role
    assert near.post("/leave", headers={**headers, "Origin": ADDRESS}).status_code == 403  # without the form's token
    assert near.get("/health", headers=[("X-Forwarded-User", "ana"), ("X-Forwarded-User", "bo")]).status_code == 401


def test_refused_and_asked_changes_are_in_the_audit_log(environment, caplog):
    caplog.set_level(logging.INFO, "glocal.dashboard.audit")
    browser = Browser(environment)
    browser.post("/leave")
    browser.client.post("/leave", data={"csrf": "x"}, headers={"Origin": ADDRESS})
    lines = [record.getMessage() for record in caplog.records if record.name == "glocal.dashboard.audit"]
    assert lines[0].startswith("asked POST /leave by=ana (admin) from=")
    assert lines[1].startswith("refused 403 POST /leave by=ana (admin)")
    assert browser.csrf not in caplog.text


def test_who_is_refused_before_any_page_is_in_the_audit_log_as_well(environment, caplog):
    caplog.set_level(logging.INFO, "glocal.dashboard.audit")
    browser = Browser(environment)
    browser.client.get("/health", headers={"Authorization": "Bearer glocal_00000000_x"})
    browser.client.get("/health", headers={"Host": "evil.example"})
    browser.client.post("/leave", data={"csrf": browser.csrf}, headers={"Origin": "http://evil.example"})
    lines = [record.getMessage() for record in caplog.records if record.name == "glocal.dashboard.audit"]
    assert [line.rpartition(" by=")[0] for line in lines] == [
        "refused 401 GET /health",
        "refused 403 GET /health",
        "refused 403 POST /leave",
    ]
    assert "glocal_00000000_x" not in caplog.text


@pytest.mark.parametrize(
    ("role", "kind", "most"),
    [
        (None, "application/json", guard.MAX_UNKNOWN),
        (None, "multipart/form-data; boundary=x", guard.MAX_UNKNOWN),
        (Role.VIEWER, "application/json", guard.MAX_JSON),
        (Role.VIEWER, "application/x-www-form-urlencoded", guard.MAX_BODY),
        (Role.VIEWER, "multipart/form-data; boundary=x", guard.MAX_FILES),
    ],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(environment, role, kind, most):
    """Nobody has signed in yet where FastAPI reads bodies: before it asks who may."""
    browser = Browser(environment, role=role)
    headers = {"Origin": ADDRESS, "Content-Type": kind, "Content-Length": str(most + 1)}
    assert browser.client.post("/api/v1/orders", content=b"{}", headers=headers).status_code == 413


def test_a_body_that_says_no_length_is_not_read_to_its_end(environment, monkeypatch):
    monkeypatch.setattr(guard, "MAX_BODY", 1000)
    browser = Browser(environment)
    headers = {"Origin": ADDRESS, "Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": browser.csrf}
    answer = browser.client.post("/try", content=iter([b"a=" + b"b" * 2000]), headers=headers)
    assert answer.status_code == 413


def test_a_body_that_does_not_arrive_is_not_waited_for(environment, monkeypatch):
    monkeypatch.setattr(guard, "UNKNOWN_S", 0.3)
    with serving_dashboard(environment) as address, socket.create_connection(address[7:].split(":")) as client:
        host = address[7:]
        head = f"POST /models/a/rollback HTTP/1.1\r\nHost: {host}\r\nOrigin: {address}\r\nContent-Length: 10\r\n"
        client.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\na".encode())
        client.settimeout(10)
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_one_person_has_not_so_many_requests_that_others_find_no_room(environment, monkeypatch):
    monkeypatch.setattr(guard, "AT_ONCE", 2)
    browser, entered, go = Browser(environment), threading.Barrier(3), threading.Event()

    def slow(*_, **__):
        entered.wait(10)
        go.wait(10)
        return Response("ok")

    monkeypatch.setattr("dashboard.views.health.page", slow)
    with browser.client, ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(browser.get, "/health") for _ in range(2)]
        entered.wait(10)
        refused = browser.get("/enter")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"]
        other = TestClient(browser.app, base_url=ADDRESS)
        other.cookies.set(browser.app.state.cookie, browser.app.state.sessions.begin("bo", Role.VIEWER))
        assert other.get("/enter").status_code == 200
        go.set()
        assert [each.result().status_code for each in under_way] == [200, 200]
    assert browser.get("/enter").status_code == 200


def test_a_fault_of_ours_has_a_number_and_no_trace(environment, monkeypatch, caplog):
    monkeypatch.setattr("dashboard.views.health.page", lambda *_, **__: 1 / 0)
    answer = Browser(environment).get("/health")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_the_application_begins_and_ends_behind_the_guard(environment):
    browser = Browser(environment)
    monitor, done = browser.app.state.monitor, []
    monitor.start, monitor.close = lambda: done.append("begun"), lambda: done.append("ended")
    with browser.client:
        assert done == ["begun"]  # without a page that was opened
    assert done == ["begun", "ended"]

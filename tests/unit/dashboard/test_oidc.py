"""Signing in by an OpenID Connect provider that runs here, by HTTP."""

import base64
import hashlib
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
from fastapi import FastAPI, Form
from joserfc import jwt
from joserfc.jwk import RSAKey

from model.environment import Environment
from model.errors import InvalidInput
from model.home import Home
from serving.processes import bind_port, wait_until
from tests.support.dashboard import Browser

CLIENT, SECRET = "glocal", "a secret of the provider"


class Issuer:
    """A provider: its documents, its token endpoint, and what it says of people."""

    def __init__(self, address):
        self.address, self.key, self.claims, self.codes = address, RSAKey.generate_key(2048), {}, {}
        self.signing = self.key
        self.app = app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def configuration():
            names = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            return {
                "issuer": address,
                "id_token_signing_alg_values_supported": ["RS256"],
                **{name: address + path for name, path in names.items()},
            }

        @app.get("/keys")
        def keys():
            return {"keys": [{**self.key.as_dict(private=False), "kid": "1", "use": "sig", "alg": "RS256"}]}

        @app.post("/token")
        def token(code: str = Form(), code_verifier: str = Form()):
            asked = self.codes.pop(code)
            digest = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
            assert asked["code_challenge"] == [digest]
            now = int(time.time())
            claims = {
                "iss": address,
                "aud": CLIENT,
                "sub": "1",
                "iat": now,
                "exp": now + 60,
                "nonce": asked["nonce"][0],
                **self.claims,
            }
            return {
                "access_token": "x",
                "token_type": "Bearer",
                "id_token": jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.signing),
            }

    def authorize(self, address):
        """What a person's browser does at the provider: returns the address that it is sent back to."""
        asked = parse_qs(urlsplit(address).query)
        self.codes["a-code"] = asked
        return f"{urlsplit(asked['redirect_uri'][0]).path}?code=a-code&state={asked['state'][0]}"


@pytest.fixture(scope="module")
def issuer():
    with bind_port() as listening:
        made = Issuer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(made.app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert wait_until(lambda: server.started, deadline_s=20)
        yield made
        server.should_exit = True
        thread.join()


@pytest.fixture
def environment(issuer, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    issuer.claims, issuer.signing = {"email": "ana@example.org", "email_verified": True}, issuer.key
    return Environment(
        home=Home.at(tmp_path / "home"),
        dashboard_oidc_issuer=issuer.address,
        dashboard_oidc_client=CLIENT,
        dashboard_oidc_secret_file=tmp_path / "secret",
        dashboard_operators=("ana@example.org",),
    )


def sign_in(environment, issuer):
    browser = Browser(environment, role=None)
    sent = browser.get("/oidc/begin")
    assert sent.status_code == 302
    assert sent.headers["location"].startswith(issuer.address + "/authorize?")
    return browser, browser.get(issuer.authorize(sent.headers["location"]))


def test_the_provider_signs_a_person_in_with_the_role_that_is_listed(environment, issuer):
    browser, back = sign_in(environment, issuer)
    assert back.status_code == 303
    shown = browser.get("/health")
    assert shown.status_code == 200
    assert "ana@example.org" in shown.text
    assert "operator" in shown.text


def test_a_person_has_the_role_that_the_settings_say_now_and_none_once_they_say_none(environment, issuer):
    browser, _ = sign_in(environment, issuer)
    for listed, status, said in (
        ({"dashboard_operators": (), "dashboard_viewers": ("ana@example.org",)}, 200, "viewer"),
        ({"dashboard_operators": ()}, 401, "This page is for people"),
    ):
        restarted = Browser(environment.model_copy(update=listed), role=None)
        restarted.client.cookies = browser.client.cookies
        shown = restarted.get("/health")
        assert (shown.status_code, said in shown.text) == (status, True)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\u202eana", "\ud800", "x" * 101])
def test_a_name_that_records_cannot_hold_is_nobodys(environment, issuer, name):
    issuer.claims = {"email": name, "email_verified": True}
    everybody = environment.model_copy(update={"dashboard_viewers": ("*",)})
    assert sign_in(everybody, issuer)[1].status_code == 401


def test_whoever_is_not_listed_is_not_let_in(environment, issuer):
    issuer.claims = {"email": "eve@example.org", "email_verified": True}
    browser, back = sign_in(environment, issuer)
    assert back.status_code == 403
    assert browser.get("/health").status_code == 401


@pytest.mark.parametrize("claims", [{"email": "ana@example.org"}, {"email": "ana@example.org", "email_verified": "yes"}, {}])
def test_an_address_that_the_provider_has_not_verified_is_nobodys(environment, issuer, claims):
    issuer.claims = claims
    assert sign_in(environment, issuer)[1].status_code == 401


@pytest.mark.parametrize("changed", [{"aud": "another"}, {"iss": "http://evil.example"}, {"exp": 1}, {"nonce": "another"}])
def test_a_token_for_somebody_else_or_of_another_time_is_refused(environment, issuer, changed):
    issuer.claims |= changed
    assert sign_in(environment, issuer)[1].status_code == 401


def test_a_token_that_another_key_signed_is_refused(environment, issuer):
    issuer.signing = RSAKey.generate_key(2048)
    assert sign_in(environment, issuer)[1].status_code == 401


def test_a_state_that_this_browser_did_not_begin_with_is_refused(environment, issuer):
    browser = Browser(environment, role=None)
    back = issuer.authorize(browser.get("/oidc/begin").headers["location"])
    assert Browser(environment, role=None).get(back).status_code == 401


def test_a_provider_that_does_not_answer_is_said(environment):
    gone = environment.model_copy(update={"dashboard_oidc_issuer": "http://127.0.0.1:9"})
    answer = Browser(gone, role=None).get("/oidc/begin")
    assert answer.status_code == 503
    assert "does not answer" in answer.text


def test_a_missing_setting_ends_the_start(environment, tmp_path):
    with pytest.raises(InvalidInput, match="does not know"):
        Browser(environment.model_copy(update={"dashboard_oidc_client": ""}))
    with pytest.raises(InvalidInput, match="cannot be read"):
        Browser(environment.model_copy(update={"dashboard_oidc_secret_file": tmp_path / "none"}))


def test_the_page_offers_the_provider_only_where_there_is_one(environment, tmp_path):
    assert "/oidc/begin" in Browser(environment, role=None).get("/enter").text
    assert "/oidc/begin" not in Browser(Environment(home=Home.at(tmp_path / "other")), role=None).get("/enter").text

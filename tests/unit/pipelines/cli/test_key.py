import json
import stat

import pytest

from model.home import Home
from serving.gateway.keys import KeyFile, Scope


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    return Home.at(tmp_path / "home").serve.keys


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(glocal, keys):
    code, secret, error = glocal("key", "create", "the shop", "--days", "30")
    assert code == 0
    assert "not shown again" in error
    admitted = KeyFile(keys).admit(secret.strip(), Scope.CALLER)
    assert secret.strip() not in keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    code, listed, _ = glocal("key", "list")
    assert (code, "the shop" in listed, "until" in listed) == (0, True, True)
    assert secret.strip() not in listed
    assert glocal("key", "revoke", admitted.id)[0] == 0
    assert json.loads(glocal("key", "list", "--json")[1]) == {"keys": []}


def test_scopes_are_chosen_and_json_holds_the_key(glocal, keys):
    code, out, _ = glocal("key", "create", "ops", "--scope", "operator", "--scope", "caller", "--json")
    made = json.loads(out)
    assert (code, made["scopes"]) == (0, ["operator", "caller"])
    assert KeyFile(keys).admit(made["key"], Scope.OPERATOR).name == "ops"
    assert "sha256" not in made


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["create", "a\nb"], 2, "No key can be made"),
        (["create", "x", "--scope", "root"], 2, "root"),
        (["create", "x", "--days", "-1"], 2, "must last"),
        (["revoke", "deadbeef"], 3, "There is no key"),
    ],
)
def test_what_cannot_be_done_is_said(glocal, keys, words, code, said):
    done, out, error = glocal("key", *words)
    assert (done, out) == (code, "")
    assert said in error
    assert not keys.exists()

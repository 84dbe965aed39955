"""The endpoint as the owner of its home finds it."""

import pytest

from model.errors import Unauthorized, Unavailable
from model.files import write_json
from model.home import Home
from serving.gateway.keys import Scope, create_key, known_key, read_keys, revoke_key
from serving.local import ensure_key, local_client, read_key


@pytest.fixture
def folder(tmp_path):
    """Of an endpoint that was started once."""
    folder = Home(tmp_path).serve
    ensure_key(folder)
    write_json(folder.gateway, {"port": 8080})
    return folder


def lose_keys(folder):
    folder.keys.unlink()


def lose_own_key(folder):
    folder.key.unlink()


def revoke_own_key(folder):
    revoke_key(folder, read_keys(folder.keys)[0].id)


def test_the_owners_key_is_made_once_for_this_user_alone(folder):
    first = read_key(folder)
    ensure_key(folder)
    assert read_key(folder) == first
    assert (folder.key.stat().st_mode & 0o777, len(read_keys(folder.keys))) == (0o600, 1)
    with local_client(folder) as client:
        assert client.address == "http://127.0.0.1:8080"


@pytest.mark.parametrize("lose", [lose_keys, lose_own_key, revoke_own_key])
def test_a_lost_key_of_the_owner_is_made_anew_by_the_start_that_the_hint_names(folder, lose):
    before = read_key(folder)
    lose(folder)
    with pytest.raises(Unauthorized, match="does not know the key of this home's owner") as caught:
        local_client(folder)
    assert caught.value.hint.endswith("glocal serve start.")
    assert str(before) not in str(caught.value)
    ensure_key(folder)
    local_client(folder).close()
    known_key(read_keys(folder.keys), read_key(folder)).check(Scope.OPERATOR)
    assert read_key(folder) != before


def test_the_keys_of_others_stay_when_the_owners_is_made_anew(folder):
    _, others = create_key(folder, "shop", [Scope.CALLER])
    lose_own_key(folder)
    ensure_key(folder)
    known_key(read_keys(folder.keys), others)


def test_without_a_started_gateway_the_start_is_named(folder):
    folder.gateway.unlink()
    with pytest.raises(Unavailable, match="does not run") as caught:
        local_client(folder)
    assert "glocal serve start" in caught.value.hint


def test_an_endpoint_that_runs_elsewhere_is_asked_there_with_the_key_of_the_settings(tmp_path, monkeypatch):
    folder = Home(tmp_path).serve
    monkeypatch.setenv("GLOCAL_ENDPOINT", "http://endpoint.example:8080")
    with pytest.raises(Unavailable):
        local_client(folder)  # the setting counts with its backend alone
    monkeypatch.setenv("GLOCAL_BACKEND", "kubernetes")
    monkeypatch.setenv("GLOCAL_KEY", "glocal_1_2")
    client = local_client(folder)
    assert client.address == "http://endpoint.example:8080"
    assert client._settings["headers"] == {"Authorization": "Bearer glocal_1_2"}
    monkeypatch.delenv("GLOCAL_ENDPOINT")
    assert local_client(folder).address == "http://glocal-serve:8080"
    assert local_client(folder, address="http://10.0.0.7:8080").address == "http://10.0.0.7:8080"

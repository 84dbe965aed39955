"""A version that is not signed does not come to serve where a verifying key is set, by whatever way."""

from datetime import UTC, datetime

import pytest

from model.config import ServeConfig
from model.errors import InvalidInput
from model.schemas.challenge import Challenge
from serving import server
from serving.challenging import start_challenge
from serving.promotion import promote_release
from serving.reconcile import reconcile, start_server
from serving.registry.models import Registry
from tests.support.commands import command, glocal, last_line
from tests.support.promotions import answers, assert_one_truth, make_release_of, register, said, to
from tests.support.signing import make_keys

pytestmark = pytest.mark.integration

NAME = "drawn"
REFUSED = "Version 2 of drawn is not signed"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def verified(keys, monkeypatch):
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", str(keys[1]))


@pytest.fixture
def unsigned(home, registry, releases, first, monkeypatch):
    """Version 1 serves; 2 has no signature, whatever was before."""
    for run in registry._client.search_runs([registry._client.get_experiment_by_name("glocal-releases").experiment_id]):
        for signature in (home.root / "mlartifacts").rglob(f"{run.info.run_id}/artifacts/model/release.sig"):
            signature.unlink()


def test_an_unsigned_version_is_not_promoted_and_what_serves_serves_on(home, registry, releases, unsigned, verified):
    terms = Challenge(mode="shadow", share=0.1, started=datetime.now(UTC))
    with pytest.raises(InvalidInput, match=REFUSED):
        to(home, "2", NAME)
    with pytest.raises(InvalidInput, match=REFUSED):
        promote_release(releases[1].folder, "2", ServeConfig(), home=home, tracking_uri=home.tracking_uri, why="a run")
    with pytest.raises(InvalidInput, match=REFUSED):
        start_challenge("2", terms, home=home, tracking_uri=home.tracking_uri, name=NAME)
    assert_one_truth(home, NAME, "1", releases[0])
    code, out, error = glocal(home.root, command("promote", "2", "--why", "test", "--dry-run", "--json"))
    assert (code, last_line(out)["plan"]["unsigned"]) == (0, True)
    assert "it will be refused; sign it first" in error
    code, out, error = glocal(home.root, command("promote", "2", "--why", "test", "--yes"))
    assert (code, out) == (2, "")
    told, remedy = error.splitlines()[-2:]
    assert told == "Error: Version 2 of drawn is not signed."
    assert remedy.endswith("glocal sign 2 --name drawn.")


def test_an_alias_moved_by_hand_onto_an_unsigned_version_goes_back(home, registry, releases, unsigned, verified):
    registry.set_alias("2", "champion")
    assert REFUSED in said(reconcile(home, home.tracking_uri))
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_signed_version_is_promoted_rolled_back_and_brought_back(
    home, registry, releases, unsigned, verified, keys, monkeypatch
):
    monkeypatch.setenv("GLOCAL_SIGNING_KEY", str(keys[0]))
    code, out, error = glocal(home.root, command("sign", "2"))
    assert (code, out.strip()) == (0, "signed version 2 of drawn"), error
    to(home, "2", NAME)
    assert_one_truth(home, NAME, "2", releases[1])
    server.stop(home)
    assert not start_server(home, home.tracking_uri).differences
    assert answers(home, NAME) == ("2", releases[1].id)
    with pytest.raises(InvalidInput, match="Version 1 of drawn is not signed"):
        to(home, "1", NAME)


def test_what_served_unsigned_comes_back_once_it_is_signed(home, registry, releases, unsigned, verified, keys, monkeypatch):
    server.stop(home)
    told = said(start_server(home, home.tracking_uri).differences)
    assert told.count("Version 1 of drawn is not signed") == 1
    monkeypatch.setenv("GLOCAL_SIGNING_KEY", str(keys[0]))
    registry.sign("1")
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])


def test_what_a_run_registers_is_signed_and_another_key_is_refused(home, releases, first, keys, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_SIGNING_KEY", str(keys[0]))
    registered = register(make_release_of(NAME, tmp_path, seed=5), home, tmp_path / "report")
    assert Registry(home.tracking_uri, NAME).files.signature(registered.version)
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", str(make_keys(tmp_path / "other")[1]))
    with pytest.raises(InvalidInput, match="is of another key"):
        to(home, registered.version, NAME)
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", str(keys[1]))
    to(home, registered.version, NAME)
    assert answers(home, NAME)[0] == registered.version

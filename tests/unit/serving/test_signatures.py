"""Signatures of releases: what is signed verifies, and nothing else does where a verifying key is set."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import sigstore
from model_signing import signing, verifying

from model.errors import InvalidInput, Unavailable
from model.release import open_release
from serving.archive import build_archive, pack_again, stored_archive
from serving.protocol import SIGNATURE
from serving.signatures import check_signature, sign_release
from tests.support.releases import make_release, reseal
from tests.support.signing import make_keys

NAMED = {"name": "mugs", "version": "3", "wrapping": {"handler.py": b"handler"}}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("signatures") / "release")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(release, keys, monkeypatch):
    """The release with its signature; both keys are set."""
    monkeypatch.setenv("GLOCAL_SIGNING_KEY", str(keys[0]))
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", str(keys[1]))
    return replace(release, signature=sign_release(release))


def check(release, store):
    check_signature(build_archive(release, store, **NAMED).path, "mugs", "3")


def test_a_signed_release_verifies(signed, tmp_path):
    check(signed, tmp_path)


def test_model_signing_itself_verifies_the_folder(signed, keys, tmp_path):
    (tmp_path / SIGNATURE).write_text(signed.signature)
    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(signed.folder, tmp_path / SIGNATURE)


def test_what_model_signing_itself_signed_verifies(signed, keys, tmp_path):
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(signed.folder, tmp_path / SIGNATURE)
    check(replace(signed, signature=(tmp_path / SIGNATURE).read_text()), tmp_path)


def test_a_changed_byte_is_refused_although_the_manifest_was_made_to_fit(signed, tmp_path):
    parts = shutil.copytree(signed.folder, tmp_path / "parts")
    (parts / "golden" / "0.png").write_bytes((parts / "golden" / "1.png").read_bytes())
    forged = replace(reseal(parts, tmp_path / "forged"), signature=signed.signature)
    with pytest.raises(InvalidInput, match=r"The signature of version 3 of mugs .* another release") as refused:
        check(forged, tmp_path)
    assert refused.value.hint == "Where the signing key is: glocal sign 3 --name mugs."
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("signature", ["{}", "no JSON", '{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}'])
def test_a_damaged_signature_is_refused(signed, tmp_path, signature):
    with pytest.raises(InvalidInput, match="or is damaged"):
        check(replace(signed, signature=signature), tmp_path)


def test_another_key_is_refused(signed, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", str(make_keys(tmp_path)[1]))
    with pytest.raises(InvalidInput, match="of another key"):
        check(signed, tmp_path)


def test_what_is_not_signed_is_refused(signed, release, tmp_path):
    with pytest.raises(InvalidInput, match="Version 3 of mugs is not signed") as refused:
        check(release, tmp_path)
    assert "glocal sign 3 --name mugs" in refused.value.hint


def test_without_keys_nothing_is_signed_or_checked(release, tmp_path, monkeypatch):
    for name in ("GLOCAL_SIGNING_KEY", "GLOCAL_VERIFYING_KEY"):
        monkeypatch.setenv(name, "")
    assert not sign_release(release)
    check(release, tmp_path)
    check(replace(release, signature="{}"), tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"no key", "the other key"])
def test_a_file_that_is_no_key_of_this_kind_is_named(release, keys, tmp_path, monkeypatch, content):
    file = tmp_path / "key"
    for name, other in (("GLOCAL_SIGNING_KEY", keys[1]), ("GLOCAL_VERIFYING_KEY", keys[0])):
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else other.read_bytes())
        monkeypatch.setenv(name, str(file))
        with pytest.raises(InvalidInput, match=f"{name} cannot be used: {file}"):
            sign_release(release) if name == "GLOCAL_SIGNING_KEY" else check(release, tmp_path)


def test_two_ways_to_sign_or_to_verify_are_refused(signed, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_SIGSTORE_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InvalidInput, match="Two ways to sign are set"):
        sign_release(signed)
    monkeypatch.setenv("GLOCAL_SIGSTORE_IDENTITY", "bob@example.org")
    with pytest.raises(InvalidInput, match="Two ways to verify are set"):
        check(signed, tmp_path)


@pytest.mark.parametrize("content", [None, " \n", "\N{SNOWMAN}"])
def test_a_file_without_an_identity_token_is_named(release, tmp_path, monkeypatch, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("GLOCAL_SIGSTORE_TOKEN_FILE", str(file))
    with pytest.raises(InvalidInput, match=f"GLOCAL_SIGSTORE_TOKEN_FILE cannot be used: {file}"):
        sign_release(release)


def test_an_identity_needs_its_issuer(release, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_SIGSTORE_IDENTITY", "bob@example.org")
    with pytest.raises(InvalidInput, match="GLOCAL_SIGSTORE_IDENTITY has no issuer"):
        check(release, tmp_path)


@pytest.fixture
def by_sigstore(signed, tmp_path, monkeypatch):
    """Sigstore verifies, by a trust configuration in a file: that of the public one, as its package brings it along."""
    monkeypatch.setenv("GLOCAL_VERIFYING_KEY", "")
    monkeypatch.setenv("GLOCAL_SIGSTORE_IDENTITY", "bob@example.org")
    monkeypatch.setenv("GLOCAL_SIGSTORE_ISSUER", "https://issuer.example.org")
    store = next(each for each in Path(sigstore.__file__).parent.glob("_store/*") if each.name.endswith("cdn.sigstore.dev"))
    trust = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads((store / "trusted_root.json").read_text()),
        "signingConfig": json.loads((store / "signing_config.v0.2.json").read_text()),
    }
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    monkeypatch.setenv("GLOCAL_SIGSTORE_TRUST", str(tmp_path / "trust.json"))


def test_what_a_key_signed_is_refused_where_an_identity_must_have(signed, release, by_sigstore, tmp_path):
    with pytest.raises(InvalidInput, match="of another key or another release"):
        check(signed, tmp_path)
    with pytest.raises(InvalidInput, match="Version 3 of mugs is not signed"):
        check(release, tmp_path)


def test_a_trust_configuration_that_is_none_is_one_line(signed, by_sigstore, tmp_path):
    (tmp_path / "trust.json").write_text("{}")
    with pytest.raises(Unavailable, match="Sigstore cannot be used"):
        check(signed, tmp_path)


def test_an_archive_of_another_signature_is_packed_again_and_another_wrapping_keeps_the_signature(signed, release, tmp_path):
    archive = build_archive(signed, tmp_path, **NAMED)
    assert stored_archive(signed, tmp_path, **NAMED) == archive
    assert stored_archive(release, tmp_path, **NAMED) is None
    assert stored_archive(replace(signed, signature=sign_release(signed)), tmp_path, **NAMED) is None
    again = pack_again(archive, name="mugs", version="3", wrapping={"handler.py": b"new"})
    assert zipfile.ZipFile(again.path).read(SIGNATURE).decode() == signed.signature
    check_signature(again.path, "mugs", "3")


def test_a_signature_is_no_part_of_the_release(signed, release, tmp_path):
    assert open_release(signed.folder).id == signed.id == release.id

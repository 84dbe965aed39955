"""Signatures of releases, made and checked with OpenSSF's model-signing: see docs/decisions/0017-signatures.md.

A release is signed when it is registered, or by `glocal sign`, with the private key of `GLOCAL_SIGNING_KEY`. Where
`GLOCAL_VERIFYING_KEY` names the public key, a version is checked before it is loaded. A signature covers every file of the
release by its hash, so that any tool that knows model-signing can check the folder. The hashes are those of the release's
manifest: `open_release` has compared every file with them.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from model.environment import Environment
from model.errors import InvalidInput
from model.release import Release
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from model.scratch import scratch_folder
from serving.archive import unpack_signed
from serving.protocol import SIGNATURE

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

_FORM = "It must be a PEM file with an EC key (P-256, P-384 or P-521), without a password."


def sign_release(release: Release) -> str:
    """The signature of a release, a Sigstore bundle as JSON; empty if no signing key is set.

    Raises:
        InvalidInput: The signing key cannot be used.
    """
    key = Environment().signing_key
    if key is None:
        return ""
    from model_signing.signing import Config

    with scratch_folder("signature") as scratch:
        try:
            config = Config().use_elliptic_key_signer(private_key=key)  # type: ignore[no-untyped-call] # it has no types
        except Exception as error:  # whatever the reader of keys raises
            raise InvalidInput(f"GLOCAL_SIGNING_KEY cannot be used: {key}.", _FORM) from error
        config.set_hashing_config(_DECLARED).sign(release.folder, scratch / SIGNATURE)
        return (scratch / SIGNATURE).read_text(encoding="utf-8")


def check_signature(archive: Path, name: str, version: str) -> None:
    """Refuse a verified archive whose release has no valid signature, if a verifying key is set.

    Args:
        archive: The archive.
        name: Name of the model, for the message.
        version: The version, for the message.

    Raises:
        InvalidInput: There is no signature, or it is of another key or another release; or the verifying key cannot be used.
    """
    key = Environment().verifying_key
    if key is None:
        return
    from model_signing.verifying import Config

    remedy = f"Where the signing key is: glocal sign {version} --name {name}."
    try:
        config = Config().use_elliptic_key_verifier(public_key=key)  # type: ignore[no-untyped-call] # it has no types
    except Exception as error:  # whatever the reader of keys raises
        raise InvalidInput(f"GLOCAL_VERIFYING_KEY cannot be used: {key}.", _FORM) from error
    with scratch_folder("signature") as scratch:
        release = unpack_signed(archive, scratch)
        if not (scratch / SIGNATURE).is_file():
            raise InvalidInput(f"Version {version} of {name} is not signed.", remedy)
        try:
            config.set_hashing_config(_DECLARED).verify(release, scratch / SIGNATURE)
        except Exception as error:  # whatever the package raises: nothing but a valid signature is one
            headline = f"The signature of version {version} of {name} is of another key or another release, or is damaged."
            raise InvalidInput(headline, remedy) from error


class _Declared:
    """Model-signing's configuration of hashes, with the hashes that the manifest of a release declares."""

    def hash(self, model_path: Path, *, files_to_hash: Any = None) -> "Manifest":
        """The hashes of a release's folder, of which only its manifest is read."""
        from model_signing.hashing import hash as hashed
        from model_signing.manifest import FileManifestItem, Manifest, SerializationType

        own, declared = model_path / RELEASE_MANIFEST, ReleaseManifest.load(model_path / RELEASE_MANIFEST)
        (digest,) = (each.digest for each in hashed(own).resource_descriptors())
        digests = {name: replace(digest, digest_value=bytes.fromhex(file.sha256)) for name, file in declared.files.items()}
        items = [
            FileManifestItem(path=PurePosixPath(name), digest=each)
            for name, each in sorted({**digests, RELEASE_MANIFEST: digest}.items())
        ]
        form = SerializationType.from_args({"method": "files", "hash_type": digest.algorithm, "allow_symlinks": False})
        return Manifest(model_path.name, items, form)

    def add_ignored_paths(self, *, model_path: Path, paths: Iterable[Path]) -> None:
        """A signature may ignore paths that no release has; all files of a release count."""


_DECLARED: Any = _Declared()  # it need not be a `model_signing.hashing.Config`, whose import takes long

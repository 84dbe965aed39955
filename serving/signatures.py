"""Signatures of releases, made and checked with OpenSSF's model-signing: see docs/decisions/0017-signatures.md.

A release is signed when it is registered, or by `glocal sign`: with the private key of `GLOCAL_SIGNING_KEY`, or by Sigstore in
the name of whoever the token in `GLOCAL_SIGSTORE_TOKEN_FILE` is of. Where `GLOCAL_VERIFYING_KEY` names the public key, or
`GLOCAL_SIGSTORE_IDENTITY` the signer, a version is checked before it is loaded. A signature covers every file of the release by
its hash, so that any tool that knows model-signing can check the folder. The hashes are those of the release's manifest:
`open_release` has compared every file with them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from model.environment import Environment
from model.errors import GlocalError, InvalidInput, Unavailable
from model.release import Release
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from model.scratch import scratch_folder
from serving.archive import unpack_signed
from serving.protocol import SIGNATURE

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

_FORM = "It must be a PEM file with an EC key (P-256, P-384 or P-521), without a password."
_SIGSTORE = "Sigstore needs a network, or a trust configuration of your own: GLOCAL_SIGSTORE_TRUST."


def sign_release(release: Release) -> str:
    """The signature of a release, a Sigstore bundle as JSON; empty if neither a signing key nor an identity token is set.

    Raises:
        InvalidInput: The signing key cannot be used, or both are set.
        Unavailable: Sigstore does not sign.
    """
    config = _signer(Environment())
    if config is None:
        return ""
    with scratch_folder("signature") as scratch:
        with _named("The release could not be signed.", "An identity token may have expired: get a new one.", Unavailable):
            config.set_hashing_config(_DECLARED).sign(release.folder, scratch / SIGNATURE)
        return (scratch / SIGNATURE).read_text(encoding="utf-8")


def must_be_signed() -> bool:
    """Whether no version is loaded without a valid signature."""
    environment = Environment()
    return environment.verifying_key is not None or bool(environment.sigstore_identity)


def check_signature(archive: Path, name: str, version: str) -> None:
    """Refuse a verified archive whose release has no valid signature, if a verifying key or an identity is set.

    Args:
        archive: The archive.
        name: Name of the model, for the message.
        version: The version, for the message.

    Raises:
        InvalidInput: There is no signature, or it is of another signer or another release; or the settings cannot be used.
        Unavailable: Whom Sigstore trusts cannot be learnt.
    """
    if not must_be_signed():
        return
    remedy = f"Where the signing key is: glocal sign {version} --name {name}."
    config = _verifier(Environment())
    with scratch_folder("signature") as scratch:
        release = unpack_signed(archive, scratch)
        if not (scratch / SIGNATURE).is_file():
            raise InvalidInput(f"Version {version} of {name} is not signed.", remedy)
        # nothing but a valid signature is one
        with _named(f"The signature of version {version} of {name} is of another key or another release, or is damaged.", remedy):
            config.set_hashing_config(_DECLARED).verify(release, scratch / SIGNATURE)


def _signer(environment: Environment) -> Any:
    """Model-signing's configuration that signs as the settings ask for; None if they do not."""
    key, token = environment.signing_key, environment.sigstore_token_file
    if key and token:
        raise InvalidInput("Two ways to sign are set.", "Set GLOCAL_SIGNING_KEY or GLOCAL_SIGSTORE_TOKEN_FILE.")
    if not key and not token:
        return None
    from model_signing.signing import Config

    config: Any = Config()  # type: ignore[no-untyped-call] # it has no types
    if token:
        return _by_sigstore(config.use_sigstore_signer, identity_token=_token(token))
    with _named(f"GLOCAL_SIGNING_KEY cannot be used: {key}.", _FORM):
        return config.use_elliptic_key_signer(private_key=key)


def _verifier(environment: Environment) -> Any:
    """Model-signing's configuration that verifies what the settings ask for."""
    from model_signing.verifying import Config

    key, identity, issuer = environment.verifying_key, environment.sigstore_identity, environment.sigstore_issuer
    if key and identity:
        raise InvalidInput("Two ways to verify are set.", "Set GLOCAL_VERIFYING_KEY or GLOCAL_SIGSTORE_IDENTITY.")
    config: Any = Config()  # type: ignore[no-untyped-call] # it has no types
    if key:
        with _named(f"GLOCAL_VERIFYING_KEY cannot be used: {key}.", _FORM):
            return config.use_elliptic_key_verifier(public_key=key)
    if not issuer:
        raise InvalidInput("GLOCAL_SIGSTORE_IDENTITY has no issuer.", "Set GLOCAL_SIGSTORE_ISSUER, who vouches for the identity.")
    return _by_sigstore(config.use_sigstore_verifier, identity=identity, oidc_issuer=issuer)


def _by_sigstore(configure: Callable[..., Any], **settings: str) -> Any:
    """A configuration of model-signing by Sigstore, which reads whom it trusts from the network, or from a file."""
    trust = Environment().sigstore_trust
    with _named("Sigstore cannot be used.", _SIGSTORE, Unavailable):
        return configure(**settings, trust_config=trust)


def _token(file: Path) -> str:
    """The identity token in a file, which ends soon after it is made."""
    with _named(
        f"GLOCAL_SIGSTORE_TOKEN_FILE cannot be used: {file}.", "It must be a file with an OpenID Connect identity token."
    ):
        token = file.read_text(encoding="ascii").strip()
        if not token:
            raise ValueError("empty")  # without a token the package would open a browser, and wait
        return token


@contextmanager
def _named(headline: str, hint: str, kind: type[GlocalError] = InvalidInput) -> Iterator[None]:
    """Whatever the block raises, as an error of ours: the packages raise many kinds."""
    try:
        yield
    except Exception as error:
        raise kind(headline, hint) from error


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

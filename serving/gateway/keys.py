"""API keys of the gateway. The file holds their hashes alone; a key is shown once, when it is made.

A key is `glocal_<id>_<secret>`. The secret has 256 random bits, so that a plain SHA-256 of it cannot be guessed.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import Field, TypeAdapter

from model.disk import disk_error
from model.errors import Forbidden, GlocalError, InvalidInput, NotFound, Unauthorized, Unavailable
from model.files import Watched, read_json, write_json
from model.home import ServeFolder
from model.locks import hold
from model.schemas.schema import Schema
from serving.gateway.audit import note_change

PREFIX = "glocal"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$"
_NO_KEY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
"""A hash that no key has: an unknown id is compared as long as a known one."""
_log = logging.getLogger("glocal.gateway")


class Scope(StrEnum):
    """What a key allows."""

    CALLER = "caller"
    OPERATOR = "operator"


class Key(Schema):
    """A key as it is stored."""

    id: str = Field(pattern=r"^[0-9a-f]{8}$", description="Public part, which logs name")
    name: str = Field(pattern=_NAME, description="Whose key it is")
    scopes: tuple[Scope, ...] = Field(min_length=1, description="What it allows")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the whole key")
    created: datetime = Field(description="When it was made")
    expires: datetime | None = Field(None, description="When it ends; absent: never")

    def check(self, scope: Scope, *, now: datetime | None = None) -> None:
        """Refuse what the key does not allow.

        Raises:
            Unauthorized: It has expired.
            Forbidden: It does not allow this.
        """
        if self.expires is not None and self.expires <= (now or datetime.now(UTC)):
            raise Unauthorized("The key has expired.", "Make a new one: glocal key create NAME.")
        if scope not in self.scopes:
            raise Forbidden(f"This needs a key with the scope {scope}.", f"glocal key create NAME --scope {scope}.")


_KEYS = TypeAdapter(tuple[Key, ...])


def read_keys(file: Path) -> tuple[Key, ...]:
    """The stored keys; none if there is no file.

    Raises:
        InvalidInput: The file is damaged.
        StorageFailed: This user may not read it.
    """
    try:
        return _KEYS.validate_python(read_json(file))
    except FileNotFoundError:
        return ()
    except (ValueError, OSError) as error:
        damaged = InvalidInput(f"The keys in {file} cannot be read.", "Restore the file, or remove it and make new keys.")
        raise disk_error(error) or damaged from error


class KeyFile:
    """The stored keys, read again when the file changes.

    Args:
        path: File of the keys.
    """

    def __init__(self, path: Path) -> None:
        self._keys = Watched(path, read_keys)

    def known(self, secret: str | None) -> Key:
        """`known_key` of the keys that the file has now. What it allows is not checked.

        Raises:
            Unavailable: The file cannot be read. Who asks is not known yet, so that the log alone says where it is.
        """
        try:
            keys = self._keys.value()
        except GlocalError as error:
            _log.error("%s", error)
            raise Unavailable("The keys cannot be read now.", "The gateway's log says why.") from error
        return known_key(keys, secret)

    def admit(self, secret: str | None, scope: Scope) -> Key:
        """The key that is shown, if it allows what is asked; see `known` and `Key.check`."""
        key = self.known(secret)
        key.check(scope)
        return key


def create_key(folder: ServeFolder, name: str, scopes: Sequence[Scope], *, days: float | None = None) -> tuple[Key, str]:
    """Make a key and store its hash; returns the stored key and the key itself, which is kept nowhere.

    Args:
        folder: Folder of the endpoint's files; that of the keys is readable by its owner alone.
        name: Whose key it is: letters, digits, spaces and `._@-`.
        scopes: What it allows.
        days: Days until it expires; None for never.

    Raises:
        InvalidInput: The name, the scopes or the days cannot be used, or the file is damaged.
        OSError: The file or the audit log cannot be written. There is no key then.
    """
    now = datetime.now(UTC)
    identity = secrets.token_hex(4)
    secret = f"{PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
    try:
        expires = None if days is None else now + timedelta(days=days)
        made = Key(id=identity, name=name, scopes=tuple(scopes), sha256=_hash(secret), created=now, expires=expires)
    except (ValueError, OverflowError) as error:
        hint = "A name has up to 64 letters, digits, spaces and ._@-; scopes are caller and operator."
        raise InvalidInput(f"No key can be made for {name!r}.", hint) from error
    if expires is not None and expires <= now:
        raise InvalidInput("A key must last some days.")
    with hold(folder.keys.with_suffix(".lock")):
        known = read_keys(folder.keys)
        ends = f" expires={expires.isoformat(timespec='seconds')}" if expires else ""
        note_change(folder, "created", identity, f"name={name!r} scopes={','.join(made.scopes)}{ends}")  # no key without it
        _write(folder.keys, (*known, made))
    return made, secret


def revoke_key(folder: ServeFolder, identity: str) -> Key:
    """Remove a key; returns it.

    Raises:
        NotFound: There is no such key.
    """
    with hold(folder.keys.with_suffix(".lock")):
        keys = read_keys(folder.keys)
        revoked = next((key for key in keys if key.id == identity), None)
        if revoked is None:
            raise NotFound(f"There is no key {identity!r}.", "glocal key list shows them.")
        _write(folder.keys, tuple(key for key in keys if key.id != identity))
        note_change(folder, "revoked", identity, f"name={revoked.name!r}")
    return revoked


def replace_keys(folder: ServeFolder, keys: Sequence[Key]) -> None:
    """Admit these keys, and no others."""
    with hold(folder.keys.with_suffix(".lock")):
        _write(folder.keys, tuple(keys))


def known_key(keys: Sequence[Key], secret: str | None) -> Key:
    """The key that is shown. Hashes are compared in constant time.

    Raises:
        Unauthorized: No key is shown, or an unknown one.
    """
    if not secret:
        raise Unauthorized("This address needs a key.", "Send the header Authorization: Bearer KEY.")
    claimed, digest = secret.split("_")[1:2], _hash(secret)
    key = next((key for key in keys if [key.id] == claimed), None)
    matches = hmac.compare_digest(digest, key.sha256 if key else _NO_KEY)
    if key is None or not matches:
        raise Unauthorized("The key is not known.", "Make one: glocal key create NAME.")
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    write_json(file, [key.model_dump(mode="json", exclude_none=True) for key in keys], mode=0o600)

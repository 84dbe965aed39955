"""The endpoint of this machine as its own user finds it: the gateway's address and the owner's key, from the home."""

import contextlib

from model.environment import Environment
from model.errors import GlocalError, Unauthorized, Unavailable
from model.files import read_json, write_text
from model.home import ServeFolder
from serving.client import Client
from serving.gateway.keys import Scope, create_key, known_key, read_keys
from serving.protocol import LOOPBACK, local_address


def read_key(folder: ServeFolder) -> str | None:
    """The key of the home's owner; None if there is none that this user may read."""
    try:
        return folder.key.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def ensure_key(folder: ServeFolder) -> None:
    """Make a key of the home's owner, unless there is one that is admitted."""
    with contextlib.suppress(GlocalError):
        known_key(read_keys(folder.keys), read_key(folder)).check(Scope.OPERATOR)
        return
    _, secret = create_key(folder, "owner of this home", [Scope.CALLER, Scope.OPERATOR])
    write_text(folder.key, secret + "\n", mode=0o600)


def local_client(folder: ServeFolder, timeout_s: float = 60, *, address: str = "") -> Client:
    """A client of the home's endpoint: of its own gateway, with the key of its owner, or of the one that the settings name.

    Args:
        folder: Folder of the endpoint's files.
        timeout_s: Seconds to wait for an answer.
        address: Address of a gateway that runs elsewhere; default: this home's, or that of the pods that the settings name.

    Raises:
        Unavailable: No gateway was started here.
        Unauthorized: The gateway does not know that key: `serve/key` or `serve/keys.json` was lost or replaced.
        InvalidInput: The keys cannot be read.
    """
    environment = Environment()
    if address or environment.endpoint_elsewhere:
        return Client(address or environment.endpoint_elsewhere, environment.key or read_key(folder), timeout_s=timeout_s)
    try:
        known = read_json(folder.gateway)
        port, host = int(known["port"]), str(known.get("host", LOOPBACK))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable("The endpoint does not run.", "Start it: glocal serve start.") from error
    key = read_key(folder)
    try:
        known_key(read_keys(folder.keys), key)
    except Unauthorized as error:
        said = f"The endpoint does not know the key of this home's owner, in {folder.key}."
        raise Unauthorized(said, "A start makes a new one: glocal serve start.") from error
    return Client(local_address(port, host), key, timeout_s=timeout_s)

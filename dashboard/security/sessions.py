"""Sessions in a signed cookie, and the one-time link by which the owner of the home signs in.

The cookie holds name and role, signed with a secret of this home; nothing about sessions is stored. The link's token is stored
as its hash, and removed when it is used.
"""

import hashlib
import hmac
import secrets
import time
from pathlib import Path

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from dashboard.security.people import Person, Role, Roles
from model.errors import Unauthorized
from model.files import read_json, write_json
from model.home import DashboardFolder
from model.locks import hold

SESSION_S = 12 * 3600
"""Seconds that a session lasts."""
LINK_S = 24 * 3600
"""Seconds in which a link can be used, once."""
_SECRET = 48
"""Random bytes of the secret, and the least characters of one that is believed."""
_NOBODY = Roles()


class Sessions:
    """The sessions of a dashboard.

    Args:
        folder: Folder of the dashboard's files. The secret in it is made when it is missing, and read at each start.
        roles: Who has which role, of the people whom a provider has signed in.
    """

    def __init__(self, folder: DashboardFolder, roles: Roles = _NOBODY) -> None:
        self.key, self._roles = _secret(folder.secret), roles
        """The secret that everything of a session is signed with."""
        self._signer = URLSafeTimedSerializer(self.key, salt="session", signer_kwargs={"digest_method": hashlib.sha256})

    def begin(self, name: str, role: Role | None) -> str:
        """The cookie of a new session, with this role, or with the one that the person is listed with at each request."""
        return str(self._signer.dumps({"name": name, "role": role, "csrf": secrets.token_urlsafe(24)}))

    def start(self, request: Request, name: str, role: Role | None) -> Response:
        """The answer that begins a session in the browser that asks, and leads to the first page; see `begin`."""
        state = request.app.state
        answer = RedirectResponse("/", 303)
        secure = state.address.startswith("https:")
        cookie = self.begin(name, role)
        answer.set_cookie(state.cookie, cookie, max_age=SESSION_S, httponly=True, samesite="lax", secure=secure)
        return answer

    def person(self, cookie: str) -> Person | None:
        """The person of a session; None if the cookie is not ours or has expired, or if the person is listed no longer."""
        try:
            said = self._signer.loads(cookie, max_age=SESSION_S)
            name = str(said["name"])
            role = self._roles.of(name) if said["role"] is None else Role(said["role"])
            return Person(name, role, str(said["csrf"])) if role else None
        except (BadSignature, KeyError, TypeError, ValueError):
            return None

    def csrf_of(self, name: str) -> str:
        """What the forms of a person send along who has no session here, since a proxy signs people in."""
        return hmac.new(self.key.encode(), f"csrf {name}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def make_link(folder: DashboardFolder, address: str) -> str:
    """The address by which the owner of the home signs in, once; an earlier one that was not used ends."""
    token = secrets.token_urlsafe(32)
    folder.root.mkdir(parents=True, exist_ok=True)
    with hold(folder.link.with_suffix(".lock")):
        write_json(folder.link, {"sha256": _hash(token), "until": time.time() + LINK_S}, mode=0o600)
    return f"{address}/enter?token={token}"


def use_link(folder: DashboardFolder, token: str) -> None:
    """Use the token of a link up.

    Raises:
        Unauthorized: It is unknown, has been used or has expired.
    """
    with hold(folder.link.with_suffix(".lock")):
        try:
            stored = read_json(folder.link)
            fits = hmac.compare_digest(str(stored["sha256"]), _hash(token)) and time.time() < float(stored["until"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            fits = False
        if not fits:
            raise Unauthorized(
                "This link has been used or has expired.", "Print a new one on the dashboard's machine: glocal dashboard link."
            )
        folder.link.unlink(missing_ok=True)


def _secret(file: Path) -> str:
    """The secret that cookies are signed with."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with hold(file.with_suffix(".lock")):
        try:
            kept = read_json(file)["secret"]
            if isinstance(kept, str) and len(kept) >= _SECRET:
                return kept
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            pass  # it is made anew, and whoever had signed in does so again
        made = secrets.token_urlsafe(_SECRET)
        write_json(file, {"secret": made}, mode=0o600)
        return made


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

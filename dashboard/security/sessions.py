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

from dashboard.security.people import Person, Role
from model.errors import Unauthorized
from model.files import read_json, write_json
from model.home import DashboardFolder
from model.locks import hold

SESSION_S = 12 * 3600
"""Seconds that a session lasts."""
LINK_S = 24 * 3600
"""Seconds in which a link can be used, once."""


class Sessions:
    """The sessions of a dashboard.

    Args:
        folder: Folder of the dashboard's files. The secret in it is made when it is missing, and read at each start.
    """

    def __init__(self, folder: DashboardFolder) -> None:
        self.key = _secret(folder.secret)
        """The secret that everything of a session is signed with."""
        self._signer = URLSafeTimedSerializer(self.key, salt="session", signer_kwargs={"digest_method": hashlib.sha256})

    def begin(self, name: str, role: Role) -> str:
        """The cookie of a new session."""
        return str(self._signer.dumps({"name": name, "role": role, "csrf": secrets.token_urlsafe(24)}))

    def start(self, request: Request, name: str, role: Role) -> Response:
        """The answer that begins a session in the browser that asks, and leads to the first page."""
        state = request.app.state
        answer = RedirectResponse("/", 303)
        secure = state.address.startswith("https:")
        cookie = self.begin(name, role)
        answer.set_cookie(state.cookie, cookie, max_age=SESSION_S, httponly=True, samesite="lax", secure=secure)
        return answer

    def person(self, cookie: str) -> Person | None:
        """The person of a session; None if the cookie is not ours or has expired."""
        try:
            said = self._signer.loads(cookie, max_age=SESSION_S)
            return Person(str(said["name"]), Role(said["role"]), str(said["csrf"]))
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
        except (OSError, ValueError, KeyError, TypeError):
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
            return str(read_json(file)["secret"])
        except (OSError, ValueError, KeyError, TypeError):
            made = secrets.token_urlsafe(48)
            write_json(file, {"secret": made}, mode=0o600)
            return made


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

"""Signing in by an OpenID Connect provider: the authorization code flow with PKCE, by authlib."""

from typing import Any

from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from dashboard.security.audit import note
from dashboard.security.people import Roles, is_name
from model.environment import Environment
from model.errors import Forbidden, InvalidInput, Unauthorized, Unavailable

router = APIRouter(include_in_schema=False)
_TIMEOUT_S = 10
_PENDING_S = 600


class PendingSignIn(SessionMiddleware):
    """A signed cookie that holds what a sign-in has begun with, until the provider sends the person back."""

    def __init__(self, app: ASGIApp, secret: str, *, secure: bool) -> None:
        super().__init__(
            app, secret, session_cookie="glocal_oidc", max_age=_PENDING_S, path="/oidc", same_site="lax", https_only=secure
        )


class Provider:
    """The provider.

    Args:
        environment: The settings `GLOCAL_DASHBOARD_OIDC_...`.
        roles: Who has which role; whoever has none is not let in.

    Raises:
        InvalidInput: A setting is missing, or the file of the secret cannot be read.
    """

    def __init__(self, environment: Environment, roles: Roles) -> None:
        issuer, client = environment.dashboard_oidc_issuer.rstrip("/"), environment.dashboard_oidc_client
        if not client:
            raise InvalidInput("The provider does not know this dashboard.", "Set GLOCAL_DASHBOARD_OIDC_CLIENT.")
        secret = None
        if file := environment.dashboard_oidc_secret_file:
            try:
                secret = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"The secret cannot be read: {error}", "See GLOCAL_DASHBOARD_OIDC_SECRET_FILE.") from error
        self._claim, self._roles = environment.dashboard_oidc_claim, roles
        self._client: Any = OAuth().register(
            "provider",
            client_id=client,
            client_secret=secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT_S,
                **({} if secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def begin(self, request: Request) -> Response:
        """Send a person to the provider."""
        try:
            answer: Response = await self._client.authorize_redirect(request, f"{request.app.state.address}/oidc/back")
        except Exception as error:  # authlib takes one of several HTTP clients, whose errors have no common class
            hint = "Try again; see GLOCAL_DASHBOARD_OIDC_ISSUER."
            raise Unavailable("The provider that signs people in does not answer.", hint) from error
        return answer

    async def end(self, request: Request) -> Response:
        """Begin the session of a person whom the provider sent back."""
        try:
            claims = (await self._client.authorize_access_token(request)).get("userinfo") or {}
        except Exception as error:  # nor have those of its tokens
            raise Unauthorized("The provider's word cannot be used.", f"Sign in again. ({type(error).__name__})") from error
        name = str(claims.get(self._claim) or "").strip()
        if not is_name(name) or (self._claim == "email" and claims.get("email_verified") is not True):
            raise Unauthorized(f"The provider vouches for no {self._claim}.", "See GLOCAL_DASHBOARD_OIDC_CLAIM.")
        if (role := self._roles.of(name)) is None:
            raise Forbidden(
                f"{name} has no role here.", "Its owner lists people in GLOCAL_DASHBOARD_VIEWERS, _OPERATORS, _ADMINS."
            )
        note(request, "signed in", f"name={name!r} role={role}")
        request.session.clear()
        started: Response = request.app.state.sessions.start(request, name, None)
        return started


@router.get("/oidc/begin")
async def begin(request: Request) -> Response:
    """Send a person to the provider."""
    return await _provider(request).begin(request)


@router.get("/oidc/back")
async def back(request: Request) -> Response:
    """Where the provider sends people back to."""
    return await _provider(request).end(request)


def _provider(request: Request) -> Provider:
    provider: Provider = request.app.state.provider
    return provider

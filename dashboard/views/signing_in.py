"""Signing in by the one-time link, and signing out."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.rendering import page
from dashboard.security.audit import note
from dashboard.security.people import Role
from dashboard.security.sessions import use_link
from model.environment import current_user

router = APIRouter(include_in_schema=False)


@router.get("/enter")
def enter(request: Request, token: str = "") -> Response:
    """Begin a session of the home's owner, who is an admin; without a token say how to sign in."""
    if not token:
        return page(request, "enter.html", part="", provider=request.app.state.provider is not None)
    state = request.app.state
    use_link(state.environment.home.dashboard, token)
    note(request, "signed in", f"name={current_user()}")
    started: Response = state.sessions.start(request, current_user(), Role.ADMIN)
    return started


@router.post("/leave")
def leave(request: Request) -> Response:
    """End the session in this browser."""
    answer = RedirectResponse("/enter", 303)
    answer.delete_cookie(request.app.state.cookie)
    return answer

"""Signing in by the one-time link, and signing out."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.rendering import page
from dashboard.security.audit import note
from dashboard.security.people import Role
from dashboard.security.sessions import SESSION_S, use_link
from model.environment import current_user

router = APIRouter(include_in_schema=False)


@router.get("/enter")
def enter(request: Request, token: str = "") -> Response:
    """Begin a session of the home's owner, who is an admin; without a token say how to sign in."""
    if not token:
        return page(request, "enter.html", part="")
    state = request.app.state
    use_link(state.environment.home.dashboard, token)
    note(request, "signed in", f"name={current_user()}")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        state.cookie,
        state.sessions.begin(current_user(), Role.ADMIN),
        max_age=SESSION_S,
        httponly=True,
        samesite="lax",
        secure=state.address.startswith("https:"),
    )
    return answer


@router.post("/leave")
def leave(request: Request) -> Response:
    """End the session in this browser."""
    answer = RedirectResponse("/enter", 303)
    answer.delete_cookie(request.app.state.cookie)
    return answer

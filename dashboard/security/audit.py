"""The audit log: a line for each change that was asked for, and for each request that was refused for who sent it."""

import logging

from fastapi import Request

from model.text import visible

AUDIT = logging.getLogger("glocal.dashboard.audit")


def note(request: Request, what: str, about: str = "") -> None:
    """Add a line.

    Args:
        request: The request.
        what: What happened, such as `asked` or `refused 403`.
        about: What else is to be known of it; no secret.
    """
    person = request.scope.get("person")
    client = request.client.host if request.client else "unknown"
    who = f"{visible(person.name)} ({person.role})" if person else "nobody"
    AUDIT.info(
        "%s",
        " ".join(filter(None, [what, request.method, visible(request.url.path)[:200], f"by={who}", f"from={client}", about])),
    )

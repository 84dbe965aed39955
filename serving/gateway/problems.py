"""Errors as RFC 9457 problem documents."""

from typing import Any

from fastapi.responses import JSONResponse

from model.errors import GlocalError
from serving.protocol import TYPE

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""Seconds after which a request that found no room may be sent again."""


def problem(error: GlocalError, request_id: str = "") -> dict[str, Any]:
    """The document of an error.

    `type` is a name, not an address: `urn:glocal:` and the kind of the error. `detail` says what to do, where there is something.
    """
    said = {"type": f"{TYPE}{error.code}", "title": error.headline, "status": error.http_status}
    if error.hint:
        said["detail"] = error.hint
    return {**said, "instance": f"urn:glocal:request:{request_id}"} if request_id else said


def problem_response(error: GlocalError, request_id: str) -> JSONResponse:
    """The answer to a request that failed, with Retry-After where the same request may succeed later."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.retry else {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem(error, request_id), error.http_status, headers, media_type=MEDIA_TYPE)

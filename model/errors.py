"""Errors for people: one line that says what is wrong, and one that says what to do."""

import re

from model.redaction import redacted


class GlocalError(Exception):
    """An error with an explanation.

    Attributes:
        headline: What went wrong, in one line.
        hint: What to do about it, in one line; may be empty.
        exit_code: Exit code of the command line.
        http_status: HTTP status of the endpoint's answer.
        retry: Whether the same request may succeed later.
    """

    exit_code = 1
    http_status = 500
    retry = False

    def __init__(self, headline: str, hint: str = "") -> None:
        self.headline = redacted(headline)  # an address in it may hold a password
        self.hint = redacted(hint)
        super().__init__(self.headline)

    def __str__(self) -> str:
        return f"{self.headline} {self.hint}".strip()

    @property
    def code(self) -> str:
        """Name of this kind of error on the wire: `invalid-input` for `InvalidInput` and its subclasses in other modules."""
        return _code(type(self))


class InvalidInput(GlocalError):
    """A file, a setting or a request that cannot be used."""

    exit_code = 2
    http_status = 422


class Unauthorized(GlocalError):
    """A request without a key that is known and valid."""

    exit_code = 7
    http_status = 401


class Forbidden(GlocalError):
    """A request that its key does not allow."""

    exit_code = 7
    http_status = 403


class NotFound(GlocalError):
    """Something that was named and does not exist."""

    exit_code = 3
    http_status = 404


class Conflict(GlocalError):
    """A request that contradicts the present state, such as a change that somebody else made first."""

    exit_code = 4
    http_status = 409


class NotAllowed(InvalidInput):
    """A method that an address does not have."""

    http_status = 405


class TooLarge(InvalidInput):
    """A request of more bytes or parts than are accepted."""

    http_status = 413


class Unsupported(InvalidInput):
    """A request in a form that is not understood."""

    http_status = 415


class TooSlow(InvalidInput):
    """A request that does not arrive in time."""

    http_status = 408


class Unavailable(GlocalError):
    """A service that does not answer, or not in time."""

    exit_code = 5
    http_status = 503
    retry = True


class Overloaded(Unavailable):
    """A service that has as many requests as it can hold."""

    http_status = 429


class StorageFailed(GlocalError):
    """A disk that is full, read-only or closed to this user, or a damaged file on it. Stored files are unchanged."""

    http_status = 507


class Diverged(GlocalError):
    """A training whose loss or embeddings are no longer finite."""


class Terminated(GlocalError):
    """The end of a process by SIGTERM. Finished work is kept, and the same call resumes it."""

    exit_code = 143
    http_status = 503
    retry = True


def error_of_code(code: str, headline: str, hint: str = "") -> GlocalError:
    """The error that another process named by `GlocalError.code`; a plain `GlocalError` for a code that is not known here."""
    kind = next((cls for cls in _kinds(GlocalError) if _code(cls) == code), GlocalError)
    return kind(headline, hint)


def _code(kind: type[GlocalError]) -> str:
    named = next(cls for cls in kind.__mro__ if cls.__module__ == __name__)
    return re.sub(r"(?<!^)(?=[A-Z])", "-", named.__name__).lower()


def _kinds(parent: type[GlocalError]) -> list[type[GlocalError]]:
    own = [cls for cls in parent.__subclasses__() if cls.__module__ == __name__]
    return [each for cls in own for each in (cls, *_kinds(cls))]

"""The errors a person may see: one line that says what is wrong, one that says what to do next."""

from model.redaction import redacted


class GlocalError(Exception):
    """A failure that is explained rather than traced.

    Attributes:
        headline: What went wrong, in one line.
        hint: What to do about it, in one line; may be empty.
        exit_code: What the command line exits with.
        http_status: What the endpoint answers with.
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


class InvalidInput(GlocalError):
    """What was given cannot be used: a file, a setting, a request."""

    exit_code = 2
    http_status = 422


class NotFound(GlocalError):
    """What was named does not exist."""

    exit_code = 3
    http_status = 404


class Conflict(GlocalError):
    """Somebody else changed the same thing first."""

    exit_code = 4
    http_status = 409


class Unavailable(GlocalError):
    """A service does not answer, or not in time."""

    exit_code = 5
    http_status = 503
    retry = True


class StorageFailed(GlocalError):
    """A disk is full, read-only, or closed to this user, or what it holds is damaged. What was stored before is as it was."""

    http_status = 507


class Terminated(GlocalError):
    """SIGTERM came. What was done is kept, and the same call goes on from there."""

    exit_code = 143
    http_status = 503
    retry = True

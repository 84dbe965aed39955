"""Redaction of passwords and keys in addresses that are printed, logged or recorded."""

import logging
import re

HIDDEN = "***"
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<info>[^\s/?#'\"]*)@")
_QUERY = re.compile(
    r"(?P<name>[?&;][\w.-]*(?:key|secret|token|passw(?:or)?d|passwd|pwd|signature|credential|sig|auth)[\w.-]*=)[^\s&;#'\"]+",
    re.IGNORECASE,
)
_WITHOUT_PASSWORD = ("ssh://", "git+ssh://", "sftp://")
"""Schemes whose user is part of the address (`git@`) and no secret."""


def redacted(text: str) -> str:
    """`text` with the passwords and keys of every address in it replaced by `***`."""
    return _QUERY.sub(rf"\g<name>{HIDDEN}", _USERINFO.sub(_hide, text))


def without_credentials(address: str) -> str:
    """The same address without secrets. Its users need credentials of their own."""
    if "://" not in address or redacted(address) == address:
        return address
    shown = _USERINFO.sub(lambda match: match["scheme"] + _user(match), address, count=1)
    path, question, query = shown.partition("?")
    kept = "&".join(parameter for parameter in query.split("&") if not _QUERY.match(f"?{parameter}"))
    return f"{path}{question}{kept}" if kept else path


def has_credentials(address: str) -> bool:
    """Whether an address holds a password, a token or a key."""
    return redacted(address) != address


class RedactingFormatter(logging.Formatter):
    """Formats log records, tracebacks included, without the passwords in them."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        return redacted(super().format(record))


def _hide(match: re.Match[str]) -> str:
    user, colon, _ = match["info"].partition(":")
    if match["scheme"].lower() in _WITHOUT_PASSWORD and not colon:
        return match[0]
    return f"{match['scheme']}{user + ':' if colon else ''}{HIDDEN}@"


def _user(match: re.Match[str]) -> str:
    user = match["info"].partition(":")[0]
    return f"{user}@" if match["scheme"].lower() in _WITHOUT_PASSWORD and user else ""

"""Passwords in addresses."""

import logging

import pytest

from model.errors import Unavailable
from model.redaction import RedactingFormatter, has_credentials, redacted, without_credentials
from model.schemas.data_pin import DataPin

SECRET = "s3cr3t"
CASES = [
    (f"https://me:{SECRET}@host/x.git", "https://me:***@host/x.git", "https://host/x.git"),
    (f"https://{SECRET}@host/x.git", "https://***@host/x.git", "https://host/x.git"),
    (f"postgresql+psycopg2://me:{SECRET}@db:5432/m", "postgresql+psycopg2://me:***@db:5432/m", "postgresql+psycopg2://db:5432/m"),
    (f"https://me:a@b:{SECRET}@host/", "https://me:***@host/", "https://host/"),
    (f"ssh://git:{SECRET}@host/x", "ssh://git:***@host/x", "ssh://git@host/x"),
    (f"https://host/x?a=1&X-Amz-Signature={SECRET}", "https://host/x?a=1&X-Amz-Signature=***", "https://host/x?a=1"),
    (f"https://host/x?AWSAccessKeyId={SECRET}&b=2", "https://host/x?AWSAccessKeyId=***&b=2", "https://host/x?b=2"),
    (f"https://host/x?token={SECRET}", "https://host/x?token=***", "https://host/x"),
]


@pytest.mark.parametrize(("address", "shown", "stored"), CASES)
def test_an_address_is_shown_and_stored_without_its_secret(address, shown, stored):
    assert redacted(address) == shown
    assert without_credentials(address) == stored
    assert has_credentials(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/a/b@c",
        "name@4f2c1ab",
        "git@host:team/x.git",
        "ssh://git@host/x",
        "s3://bucket/key=a",
        "https://host/x?page=2",
        "a:b@c",
    ],
)
def test_an_address_without_a_secret_is_left_as_it_is(address):
    assert redacted(address) == without_credentials(address) == address
    assert not has_credentials(address)


def test_every_address_in_a_text_is_redacted():
    text = f"fatal: unable to access 'https://me:{SECRET}@host/x/': see http://a:{SECRET}@b, or c@d"
    assert redacted(text) == "fatal: unable to access 'https://me:***@host/x/': see http://a:***@b, or c@d"


def test_no_error_and_no_log_line_holds_a_password():
    error = Unavailable(f"https://me:{SECRET}@host failed", f"Is postgresql://me:{SECRET}@host right?")
    assert SECRET not in f"{error} {error!r} {error.headline} {error.hint}"
    record = logging.LogRecord("x", logging.ERROR, "", 0, "push to %s", (f"https://me:{SECRET}@host",), None)
    assert RedactingFormatter("%(message)s").format(record) == "push to https://me:***@host"


def test_a_pin_stores_no_password():
    pin = DataPin(repo=f"https://me:{SECRET}@host/x.git", rev="a" * 40, path="x", md5="b" * 32, files=1, bytes=1, classes=1)
    assert pin.repo == "https://host/x.git"

"""What replicas are told to serve."""

from datetime import UTC, datetime

import pytest

from model.errors import InvalidInput
from model.schemas.challenge import Challenge
from model.schemas.declared import DeclaredChallenger, DeclaredModel, declared_text, read_declared

TERMS = Challenge(mode="canary", share=0.05, started=datetime(2026, 1, 1, tzinfo=UTC))


def test_what_is_declared_is_read_back_and_its_text_does_not_depend_on_the_order():
    tried = DeclaredChallenger(version="4", release="r4", challenge=TERMS)
    one = {
        "b": DeclaredModel(version="3", release="r3", workers=2, challenger=tried),
        "a": DeclaredModel(version="1", release="r1"),
    }
    assert read_declared(declared_text(one)) == one
    assert declared_text(one) == declared_text(dict(reversed(one.items())))


def test_nothing_is_declared_by_an_empty_text():
    assert read_declared("") == read_declared("{}") == {}


@pytest.mark.parametrize(
    "text", ["photos 3", "[]", '{"a": 1}', '{"a": {"version": "1"}}', '{"a": {"version": "1", "release": ""}}']
)
def test_what_is_no_declaration_is_refused(text):
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_declared(text)

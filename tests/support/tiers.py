"""Which of many like cases every run of the tests tries; `make proofs` tries all."""

import pytest


def usual(cases, *kept):
    """The cases, of which all but those that are named here are left to `make proofs`."""
    assert set(kept) <= set(cases), kept
    return [each if each in kept else pytest.param(each, marks=pytest.mark.long) for each in cases]

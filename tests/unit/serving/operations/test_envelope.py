import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import Conflict, GlocalError, InvalidInput
from serving.operations.envelope import pack, pack_answers, unpack, unpack_answers
from serving.operations.query import make_query

QUERIES = [
    make_query("search", [b"one"], {"k": 3, "label": "a b", "rerank": False}),
    make_query("verify", [b"", b"two" * 1000], {"false_accept_rate": 0.001}),
    make_query("embed", [bytes(range(256))]),
]


def test_queries_come_out_as_they_went_in():
    assert unpack(pack(QUERIES)) == QUERIES
    assert unpack(pack([])) == []


@pytest.mark.parametrize("cut", [0, 3, 4, 10, -1])
def test_a_block_that_was_cut_or_lengthened_is_refused(cut):
    block = pack(QUERIES)
    for changed in (block[:cut], block + b"x"):
        with pytest.raises(InvalidInput):
            unpack(changed)


@pytest.mark.parametrize("head", [b"", b"[1]", b'[{"operation": "embed"}]', b"[{}]", b"nonsense", b"\xff"])
def test_a_head_that_describes_no_queries_is_refused(head):
    with pytest.raises(GlocalError):
        unpack(struct.pack(">I", len(head)) + head)


@pytest.mark.parametrize("sizes", [[-1], [4], [2**40], ["3"], [None], [3.0]])
def test_sizes_that_lie_are_refused(sizes):
    head = json.dumps([{"operation": "embed", "options": {}, "images": sizes}]).encode()
    with pytest.raises(InvalidInput):
        unpack(struct.pack(">I", len(head)) + head + b"abc")


def test_a_head_that_claims_to_be_huge_is_refused():
    with pytest.raises(InvalidInput):
        unpack(struct.pack(">I", 2**32 - 1) + b"x" * 100)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_errors(block):
    with contextlib.suppress(GlocalError):
        unpack(block)


def test_answers_and_errors_come_back_as_they_were():
    answers = [{"a": 1.5}, Conflict("No.", "Do."), GlocalError("x")]
    back = unpack_answers(pack_answers(answers), 3)
    assert back[0] == answers[0]
    assert [(type(each), each.headline, each.hint) for each in back[1:]] == [(Conflict, "No.", "Do."), (GlocalError, "x", "")]


@pytest.mark.parametrize("block", [b"", b"{}", b"[]", b"[1]", b'[{"error": 1}]', b'[{"error": {"code": "x"}}]', b"[{}, 2]"])
def test_what_is_no_answer_is_noticed(block):
    with pytest.raises(ValueError):  # noqa: PT011 # each is another
        unpack_answers(block, 1)

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.decoding.orientation import read_orientation, turn
from tests.support.encoded import exif, stored_as

MARKED = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
"""Two rows of three pixels, each of another value."""


def block(order: str, kind: int, value: bytes, *, count: int = 1) -> bytes:
    """An EXIF block with one tag, the orientation."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, count) + value.ljust(4, b"\0") + bytes(4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tag_is_read_in_either_byte_order_and_as_any_whole_number(orientation, order):
    assert read_orientation(block(order, 3, struct.pack(f"{order}H", orientation))) == orientation
    assert read_orientation(block(order, 4, struct.pack(f"{order}I", orientation))) == orientation
    assert read_orientation(block(order, 1, bytes([orientation]))) == orientation
    assert read_orientation(b"Exif\0\0" + block(order, 3, struct.pack(f"{order}H", orientation))) == orientation
    assert read_orientation(exif(orientation)) == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_following_a_tag_gives_the_upright_image(orientation):
    from PIL import Image

    stored = np.asarray(stored_as(Image.fromarray(MARKED), orientation))
    assert stored.shape[:2] == ((3, 2) if orientation >= 5 else (2, 3))
    assert np.array_equal(turn(stored, orientation), MARKED)


def test_orientation_6_turns_the_left_side_up():
    assert turn(MARKED, 6)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert turn(MARKED, 8)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_there_is_none_of_is_ignored(value):
    assert read_orientation(block("<", 3, struct.pack("<H", value))) == 1


@given(st.binary(max_size=64), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0"]))
def test_whatever_stands_in_an_exif_block_an_orientation_comes_of_it(data, head):
    assert 1 <= read_orientation(head + data) <= 8


def test_a_block_that_is_cut_or_points_nowhere_says_nothing():
    whole = block(">", 3, b"\0\6")
    assert read_orientation(None) == read_orientation(b"") == read_orientation(whole[:15]) == 1
    assert read_orientation(b"MM\0*\xff\xff\xff\xff" + whole[8:]) == 1

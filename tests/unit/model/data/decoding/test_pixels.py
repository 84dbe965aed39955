import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from model.data.decoding.pixels import GROUND, eight_bits, on_ground

BYTES = arrays(np.uint8, (4, 5, 3))


@given(BYTES, arrays(np.uint8, (4, 5, 1)))
def test_transparency_is_laid_on_mid_grey(colour, alpha):
    share = alpha / 255
    expected = colour * share + GROUND * (1 - share)
    assert np.abs(on_ground(colour, alpha).astype(float) - expected).max() <= 1


@given(BYTES, BYTES)
def test_nothing_of_a_hidden_colour_is_seen(colour, hidden):
    alpha = (np.arange(20).reshape(4, 5, 1) % 2 * 255).astype(np.uint8)
    shown = on_ground(colour, alpha)
    assert np.array_equal(shown, on_ground(np.where(alpha > 0, colour, hidden), alpha))
    assert (shown[alpha[..., 0] == 0] == GROUND).all()
    assert np.array_equal(shown[alpha[..., 0] == 255], colour[alpha[..., 0] == 255])


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_bits_that_are_used_decide_and_not_those_that_are_there(bits):
    values = np.linspace(0, 2**bits - 1, 500).astype(np.uint16)
    assert np.array_equal(eight_bits(values), values >> (bits - 8))


@given(BYTES)
def test_eight_bits_in_sixteen_come_out_as_they_were_however_they_were_put_in(values):
    deep = values.astype(np.uint16)
    assert np.array_equal(eight_bits(deep * 257), values)
    assert np.array_equal(eight_bits(deep << 8), values)
    assert np.array_equal(eight_bits(deep), values)


def test_sixteen_bits_keep_their_upper_eight():
    values = np.arange(0, 65536, 7).astype(np.uint16)
    assert np.array_equal(eight_bits(values), values >> 8)

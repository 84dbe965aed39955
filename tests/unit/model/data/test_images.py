"""Images that are damaged, odd or turned."""

import contextlib
import io
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.data.images import decode_image, resize
from model.errors import InvalidInput

GREY_RAMP = np.arange(60 * 40, dtype=np.uint16).reshape(40, 60) * 27


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def colours() -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))


@settings(max_examples=60, deadline=None)
@given(form=st.sampled_from(["PNG", "JPEG", "WEBP"]), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_an_image_or_one_error_and_never_ends_the_process(form, at, bit):
    data = bytearray(encoded(colours(), form))
    data[int(at * len(data))] ^= 1 << bit
    with contextlib.suppress(InvalidInput):
        assert decode_image(bytes(data)).shape[0] == 3


def test_a_png_whose_checksums_hold_but_whose_pixels_do_not_is_refused():
    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = (100).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(b"\x00" * 50)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    with pytest.raises(InvalidInput, match="damaged"):
        decode_image(data)


def test_a_png_is_decoded_to_its_own_pixels():
    expected = torch.from_numpy(np.asarray(colours()).copy()).permute(2, 0, 1)
    assert torch.equal(decode_image(encoded(colours())), expected)


def test_sixteen_bits_of_grey_keep_their_upper_eight():
    data = encoded(Image.fromarray(GREY_RAMP))
    assert torch.equal(decode_image(data)[1], torch.from_numpy((GREY_RAMP >> 8).astype(np.uint8)))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_every_kind_of_png_becomes_three_channels_of_eight_bits(mode):
    image = decode_image(encoded(colours().convert(mode)))
    assert image.shape == (3, 40, 60)
    assert image.dtype == torch.uint8


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_is_turned_as_its_exif_says(form):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    assert decode_image(encoded(colours(), form, exif=exif)).shape == (3, 60, 40)


def test_a_box_is_cut_out_before_the_image_is_resized():
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[:, 10:20, 30:50] = 200
    assert torch.equal(resize(image, 8, (30, 10, 50, 20)), torch.full((3, 8, 8), 200, dtype=torch.uint8))

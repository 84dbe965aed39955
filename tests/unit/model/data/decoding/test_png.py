import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.decoding.pixels import GROUND
from model.data.decoding.refusals import Damaged, Unsupported
from model.data.headers import read_header
from model.data.images import decode_image
from tests.support.encoded import PNG_SIGNATURE, animation, blobs, chunk, encode, exif, pixels, png, png_head, sized_png
from tests.support.memory import peak_growth

IMAGE = blobs(3, (24, 16))
PIXELS = np.asarray(IMAGE)
PLAIN = encode(IMAGE)
BODY = len(PNG_SIGNATURE) + 25
"""Where the chunks after the header begin."""


def decoded(data):
    return decode_image(data).numpy()


def with_chunks(*chunks):
    return PLAIN[:BODY] + b"".join(chunks) + PLAIN[BODY:]


@settings(max_examples=30, deadline=None)
@given(depth=st.sampled_from([1, 2, 4, 8, 16]), interlaced=st.booleans(), seed=st.integers(0, 99), width=st.integers(1, 20))
def test_grey_of_any_depth_fills_eight_bits(depth, interlaced, seed, width):
    grey = np.random.default_rng(seed).integers(0, 2**depth, (7, width, 1))
    grey[0, 0] = 2**depth - 1
    expected = grey >> 8 if depth == 16 else grey * (255 // (2**depth - 1))
    assert np.array_equal(decoded(png(grey, 0, depth=depth, interlaced=interlaced)), expected.transpose(2, 0, 1).repeat(3, 0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), interlaced=st.booleans(), alpha=st.booleans(), grey=st.booleans())
def test_sixteen_bits_give_what_the_same_image_gives_in_eight(seed, interlaced, alpha, grey):
    samples = np.random.default_rng(seed).integers(0, 256, (9, 11, (1 if grey else 3) + alpha))
    colour = (0 if grey else 2) + 4 * alpha
    shallow, deep = (png(samples * factor, colour, depth=depth) for factor, depth in ((1, 8), (257, 16)))
    if interlaced:
        deep = png(samples * 257, colour, interlaced=True)
    assert np.array_equal(decoded(deep), decoded(shallow))


def test_twelve_bits_in_sixteen_are_as_bright_as_they_were_taken():
    shot = PIXELS.astype(np.uint16) * 16
    assert np.array_equal(decoded(png(shot | 7, 2)), pixels(IMAGE))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_colour_under_full_transparency_changes_nothing(depth, channels):
    """Neither through the pixel itself, nor through the depth of 16 bits that is found from the brightest sample."""
    largest = 2**depth - 1
    samples = np.random.default_rng(0).integers(0, 4000 % largest, (6, 6, channels + 1))
    samples[..., -1] = np.where(np.arange(36).reshape(6, 6) % 3, largest, 0)
    black, white = samples.copy(), samples.copy()
    black[samples[..., -1] == 0, :-1], white[samples[..., -1] == 0, :-1] = 0, largest
    shown = [decoded(png(each, 4 if channels == 1 else 6, depth=depth)) for each in (black, white)]
    assert np.array_equal(*shown)
    assert (shown[0][:, samples[..., -1] == 0] == GROUND).all()


@settings(max_examples=40, deadline=None)
@given(depth=st.sampled_from([1, 2, 4, 8, 16]), key=st.integers(0, 2**16 - 1))
def test_the_one_transparent_grey_is_ground_at_any_depth(depth, key):
    key %= 2**depth
    grey = np.random.default_rng(key).integers(0, 2**depth, (5, 8, 1))
    grey[0, 0], grey[1, :2, 0] = key, (0, 2**depth - 1)
    shown, hidden = decoded(png(grey, 0, chunk(b"tRNS", struct.pack(">H", key)), depth=depth)), (grey == key)[..., 0]
    assert (shown[:, hidden] == GROUND).all()
    if depth < 16:
        assert np.array_equal(shown[0][~hidden], grey[~hidden, 0] * (255 // (2**depth - 1)))


@pytest.mark.parametrize("depth", [8, 16])
def test_the_one_transparent_colour_is_ground(depth):
    colour = PIXELS.astype(np.uint16) * (257 if depth == 16 else 1)
    shown = decoded(png(colour, 2, chunk(b"tRNS", colour[2, 3].astype(">u2").tobytes()), depth=depth))
    assert shown[:, 2, 3].tolist() == [GROUND] * 3
    assert np.array_equal(shown[:, 9:], pixels(IMAGE)[:, 9:])


def test_a_palette_with_transparency_is_laid_on_ground():
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])) + chunk(b"tRNS", bytes([0, 255, 51]))
    shown = decoded(png(np.array([[[0], [1], [2]]]), 3, palette, depth=2))
    assert shown[:, 0].T.tolist() == [[GROUND] * 3, [0, 255, 0], [102, 102, 153]]


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"abcdefg " * 400_000)),
        chunk(b"tEXt", b"prompt\0" + b"x" * 3_000_000),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(10**7))),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(5 * 10**6))),
        chunk(b"iCCP", b"profile\0\0no profile"),
        chunk(b"eXIf", b"no EXIF at all"),
        chunk(b"zTXt", b"Raw profile type exif\0\0no zlib"),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 8\nno hex"),
        chunk(b"tIME", b"") + chunk(b"gAMA", b"\0\0\0\0") + chunk(b"pHYs", b"x") + chunk(b"sRGB", b""),
        chunk(b"tEXt", b"k\0v")[:-4] + b"\0\0\0\0",
    ],
    ids=["workflow", "text", "xmp", "profile", "bad profile", "bad exif", "bad zTXt", "bad hex", "odd chunks", "text crc"],
)
def test_what_is_no_pixels_is_in_nobodys_way(extra):
    assert np.array_equal(decoded(with_chunks(extra)), pixels(IMAGE))


def test_an_orientation_is_found_in_its_chunk_and_in_a_text():
    digits = exif(6).hex().encode()
    text = b"\ngeneric profile\n      38\n" + digits[:20] + b"\n" + digits[20:] + b"\n"
    for extra in (
        chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      38\n" + digits),
        chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(text)),
    ):
        assert decoded(with_chunks(extra)).shape == (3, 24, 16)
        assert decoded(PLAIN[:-12] + extra + PLAIN[-12:]).shape == (3, 24, 16)


@pytest.mark.slow
def test_a_bomb_in_a_text_is_never_unpacked():
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b"0" * 2**20) for _ in range(512)) + packer.flush()
    bodies = {b"zTXt": b"Raw profile type exif\0\0", b"iTXt": b"x\0\1\0\0\0", b"iCCP": b"p\0\0"}
    files = [with_chunks(chunk(name, start + bomb)) for name, start in bodies.items()]
    assert peak_growth(files) < 32


def test_a_second_header_would_pass_the_limits_and_is_refused():
    with pytest.raises(Damaged, match="two headers"):
        decode_image(with_chunks(png_head(13_000, 13_000)))


def test_chunks_by_the_million_are_not_walked_over():
    with pytest.raises(Damaged, match="chunks"):
        decode_image(PLAIN[:BODY] + chunk(b"tEXt", b"") * 200_000 + PLAIN[BODY:])


@pytest.mark.parametrize("cut", [1, 4, 12, 13, 30])
def test_a_png_that_ends_early_is_damaged(cut):
    with pytest.raises(Damaged):
        decode_image(PLAIN[:-cut])


def test_a_png_whose_checksum_is_wrong_is_damaged():
    data = bytearray(PLAIN)
    data[BODY + 20] ^= 1
    with pytest.raises(Damaged, match="checksum"):
        decode_image(bytes(data))


def test_a_png_whose_checksums_hold_but_whose_pixels_do_not_is_damaged():
    for body in (zlib.compress(b"\0" * 50), b"no zlib", zlib.compress(bytes(100 * 301))[:-6]):
        data = PNG_SIGNATURE + png_head(100, 100) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
        with pytest.raises(Damaged):
            decode_image(data)
    with pytest.raises(Damaged):
        decode_image(sized_png(10, 10))


def test_what_follows_the_end_is_ignored():
    assert np.array_equal(decoded(PLAIN + bytes(5000)), pixels(IMAGE))


def test_an_animation_is_refused_and_one_frame_is_none():
    with pytest.raises(Unsupported, match="PNG is an animation"):
        read_header(animation("PNG"))
    one = with_chunks(chunk(b"acTL", struct.pack(">II", 1, 0)))
    assert np.array_equal(decoded(one), pixels(IMAGE))

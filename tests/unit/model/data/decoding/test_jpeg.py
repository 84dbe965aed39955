"""JPEGs: whole ones, however they are coded, and damaged ones, however they came to be so."""

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.data.decoding.refusals import Damaged
from model.data.images import decode_image
from tests.support.encoded import blobs, encode, exif, flat_blocks, many_scans, pixels, scans

KINDS = {
    "standard": {"quality": 75},
    "optimised": {"quality": 85, "optimize": True},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 85, "progressive": True},
    "with restarts": {"quality": 85, "restart_marker_rows": 1},
}


def photograph(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Blobs in noise, as a camera's sensor makes it."""
    noise = np.random.default_rng(seed).normal(0, 8, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(blobs(seed, size)) + noise).clip(0, 255).astype(np.uint8))


def decoded(data):
    return decode_image(data).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_jpeg_is_decoded_as_pillow_does(kind, mode):
    data = encode(photograph(1).convert(mode), "JPEG", **KINDS[kind])
    expected = pixels(Image.open(io.BytesIO(data)))
    assert np.abs(decoded(data).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.floats(0.05, 0.6), share=st.floats(0.3, 0.4))
def test_a_jpeg_with_a_hole_of_zeros_is_damaged(kind, seed, at, share):
    data = encode(photograph(seed), "JPEG", **KINDS[kind])
    start, size = 700 + int(at * (len(data) - 700)), int(share * len(data))
    with pytest.raises(Damaged):
        decode_image(data[:start] + bytes(len(data[start : start + size])) + data[start + size :])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.floats(0.1, 0.9))
def test_a_hole_of_one_sector_is_enough(kind, seed, at):
    data = bytearray(encode(photograph(seed), "JPEG", **KINDS[kind]))
    start = 700 + int(at * (len(data) - 1300))
    data[start : start + 512] = bytes(512)
    with pytest.raises(Damaged):
        decode_image(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "tail", [b"", b"\xff\xd9", bytes(5000), bytes(5000) + b"\xff\xd9"], ids=["cut", "ended", "zeros", "both"]
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.1, 0.9))
def test_a_jpeg_of_which_the_rest_is_lost_is_damaged(kind, tail, seed, share):
    data = encode(photograph(seed), "JPEG", **KINDS[kind])
    with pytest.raises(Damaged):
        decode_image(data[: int(share * len(data))] + tail)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_that_ends_between_two_scans_is_damaged(mode):
    """The decoder sees nothing wrong: what is missing is detail alone."""
    data = encode(photograph(2).convert(mode), "JPEG", progressive=True)
    assert len(scans(data)) >= 6
    for start in scans(data)[1:]:
        with pytest.raises(Damaged, match="last scans are missing"):
            decode_image(data[:start] + b"\xff\xd9")


def test_a_file_that_was_never_written_to_its_end_is_damaged_even_if_its_room_was_taken():
    data = encode(photograph(3), "JPEG")
    with pytest.raises(Damaged):
        decode_image(data[:4000] + bytes(len(data) - 4000))


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_end_marker_alone_a_jpeg_is_whole(kind):
    data = encode(photograph(4), "JPEG", **KINDS[kind])
    assert np.array_equal(decoded(data[:-2]), decoded(data))


@pytest.mark.parametrize("tail", [bytes(10**6), b"trailer" * 10**5, encode(blobs(9), "JPEG")], ids=["zeros", "text", "jpeg"])
def test_what_follows_the_end_is_ignored(tail):
    data = encode(photograph(5), "JPEG")
    assert np.array_equal(decoded(data + tail), decoded(data))


def test_of_a_multi_picture_file_the_first_image_counts_and_its_loss_too():
    first = encode(photograph(6), "JPEG", quality=75)
    both = encode(photograph(6), "MPO", save_all=True, append_images=[photograph(7)], quality=75)
    assert np.array_equal(decoded(both), decoded(first))
    second = both.rfind(b"\xff\xd8\xff")
    for damaged in (both[: second // 2] + both[second:], both[: second // 2] + bytes(second - second // 2) + both[second:]):
        with pytest.raises(Damaged):
            decode_image(damaged)


FLAT = {
    "white": Image.new("RGB", (600, 600), "white"),
    "black": Image.new("RGB", (600, 600)),
    "half": Image.fromarray(np.vstack([np.zeros((300, 600, 3), np.uint8), np.asarray(photograph(8, (600, 300)))])),
    "ramp": Image.fromarray(np.tile(np.linspace(0, 255, 600).astype(np.uint8), (600, 1))),
    "dots": Image.fromarray(
        np.kron(np.ones((75, 75), np.uint8), np.eye(8, dtype=np.uint8)[[0]].T @ np.eye(8, dtype=np.uint8)[[0]] * 255)
    ),
    "blocks": flat_blocks(0, (600, 600)),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
def test_a_flat_image_whose_data_is_mostly_zeros_is_no_hole(name, quality):
    for options in ({}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 0, "optimize": True}):
        for mode in ("RGB", "L", "CMYK"):
            data = encode(FLAT[name].convert(mode), "JPEG", quality=quality, **options)
            assert decode_image(data).shape == (3, 600, 600)


def test_long_runs_of_zeros_do_occur_in_flat_images():
    assert bytes(64) in encode(FLAT["white"], "JPEG", optimize=True)


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage" * 99, exif(1)[:20]])
def test_a_bad_exif_block_is_ignored(block):
    plain = encode(photograph(9), "JPEG")
    marked = plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:]
    assert np.array_equal(decoded(marked), decoded(plain))


def test_a_large_colour_profile_and_comments_change_nothing():
    plain = encode(photograph(9), "JPEG")
    assert np.array_equal(
        decoded(encode(photograph(9), "JPEG", icc_profile=bytes(3_000_000), comment=b"x" * 60_000)), decoded(plain)
    )


def test_padding_before_the_end_is_no_loss_as_long_as_it_is_small():
    data = encode(photograph(10), "JPEG")
    assert np.array_equal(decoded(data[:-2] + bytes(10) + data[-2:]), decoded(data))


def test_segments_and_scans_without_end_are_not_walked_over():
    plain = encode(blobs(), "JPEG")
    with pytest.raises(Damaged, match="segments"):
        decode_image(plain[:2] + b"\xff\xfe\0\2" * 10**6 + plain[2:])
    with pytest.raises(Damaged, match="scans"):
        decode_image(many_scans(10**5))


def plane(side: int, further: int = 0, between: bytes = b"") -> bytes:
    """A grey image of one scan for each of three components, as no encoder interleaves them, and further scans of one component.

    Args:
        side: Width and height.
        further: Number of further scans.
        between: What stands before each of these.
    """
    grey = encode(Image.new("L", (side, side), 130), "JPEG")
    start = grey.index(b"\xff\xda")
    size = side.to_bytes(2, "big")
    frame = b"\xff\xc0\x00\x11\x08" + size + size + b"\x03" + b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    at = grey.index(b"\xff\xc0")
    tables = grey[:at] + grey[at + 2 + int.from_bytes(grey[at + 2 : at + 4], "big") : start]
    each = [b"\xff\xda\x00\x08\x01" + bytes([number, 0, 0, 63, 0]) for number in (1, 2, 3)]
    pixels = grey[start + 10 : -2]
    planes = b"".join(scan + pixels for scan in each)
    return tables + frame + planes + (between + each[0] + pixels[:8]) * further + b"\xff\xd9"


def test_components_that_come_one_after_the_other_are_whole():
    assert [np.unique(channel).size for channel in decoded(plane(64))] == [1, 1, 1]


@pytest.mark.parametrize(
    "between", [b"", b"\xff\xfe\x00\x04\xff\xd9", b"\xff\xd0"], ids=["plain", "an end in a comment", "restart"]
)
def test_scans_that_follow_when_all_pixels_were_sent_are_not_passed_over(between):
    """The decoder would pass over all pixels for each of them: a file of 2 MB took minutes."""
    began = time.perf_counter()
    with pytest.raises(Damaged, match="more than 100 scans"):
        decode_image(plane(2000, further=10**5, between=between))
    assert time.perf_counter() - began < 2


def test_few_scans_are_too_many_for_a_large_image():
    assert decode_image(plane(2000, further=0)).shape == (3, 2000, 2000)
    with pytest.raises(Damaged, match="90 scans, too many for 5000 x 5000 pixels"):
        decode_image(plane(5000, further=87))


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xda\0\2"])
def test_a_jpeg_without_an_image_is_damaged(data):
    with pytest.raises(Damaged):
        decode_image(data)

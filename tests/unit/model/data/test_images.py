"""One image is one tensor, whatever file it comes in; and what training makes of it."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.decoding.refusals import ImageRefused, Oversized, Unsupported
from model.data.images import crop, decode_image, load_image, resize, to_png
from model.errors import InvalidInput
from tests.support.encoded import blobs, encode, every_kind, exif, flat_blocks, mutate, pixels, sized_png, stored_as

LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}}
EXACT_JPEG = {"quality": 100, "subsampling": 0}
SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def decoded(data):
    return decode_image(data).numpy()


@settings(max_examples=60, deadline=None)
@given(form=st.sampled_from(sorted(LOSSLESS)), orientation=st.integers(1, 8), size=SIZES, seed=st.integers(0, 999))
def test_the_same_pixels_and_orientation_give_the_same_tensor_in_every_lossless_container(form, orientation, size, seed):
    image = blobs(seed, size)
    stored = encode(stored_as(image, orientation), form, exif=exif(orientation), **LOSSLESS[form])
    assert np.array_equal(decoded(stored), pixels(image))
    assert np.array_equal(decoded(encode(image, "BMP")), pixels(image))


@settings(max_examples=40, deadline=None)
@given(orientation=st.integers(1, 8), columns=st.integers(1, 9), rows=st.integers(1, 9), seed=st.integers(0, 999))
def test_a_jpeg_and_a_multi_picture_file_give_the_tensor_of_the_png(orientation, columns, rows, seed):
    """Of images that a JPEG holds without loss, so that nothing but the container differs."""
    image = flat_blocks(seed, (8 * columns, 8 * rows))
    options = {**EXACT_JPEG, "exif": exif(orientation)}
    stored = stored_as(image, orientation)
    jpeg, mpo = encode(stored, "JPEG", **options), encode(stored, "MPO", save_all=True, append_images=[blobs()], **options)
    assert np.array_equal(decoded(jpeg), pixels(image))
    assert np.array_equal(decoded(mpo), pixels(image))


@pytest.mark.parametrize("suffix", ["", ".jpg", ".mpo", ".MPO", ".png", ".txt"])
def test_the_name_of_a_file_changes_nothing(tmp_path, suffix):
    mpo = encode(flat_blocks(), "MPO", save_all=True, append_images=[blobs()], **EXACT_JPEG)
    (tmp_path / f"image{suffix}").write_bytes(mpo)
    assert torch.equal(load_image(tmp_path / f"image{suffix}", 32), resize(decode_image(encode(flat_blocks())), 32))


@pytest.mark.parametrize("kind", every_kind())
def test_every_kind_becomes_three_channels_of_eight_bits_that_may_be_written_to(kind):
    image = decode_image(every_kind()[kind])
    assert image.shape in {(3, 40, 60), (3, 60, 40)}
    assert image.dtype == torch.uint8
    assert image.numpy().flags.writeable
    assert 20 < image.float().mean() < 235


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(every_kind())), seed=st.integers(0, 10**9))
def test_a_damaged_file_gives_an_image_or_one_error_of_ours(kind, seed):
    with contextlib.suppress(InvalidInput):
        assert decode_image(mutate(every_kind()[kind], np.random.default_rng(seed))).shape[0] == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([data[:40] for data in every_kind().values()]))
def test_bytes_behind_a_true_beginning_give_an_image_or_one_error_of_ours(data, start):
    with contextlib.suppress(InvalidInput):
        decode_image(start + data)


def test_nothing_is_decoded_that_a_limit_refuses(monkeypatch):
    monkeypatch.setattr("model.data.pixels._decode", lambda *_: pytest.fail("it was decoded"))
    for size in ((1, 5_000_000), (2_000_000, 1), (1, 101), (20_000, 20_000)):
        with pytest.raises(Oversized):
            decode_image(sized_png(*size))
    limits = ImageLimits(max_bytes=10_000, max_pixels=2000, max_side=60)
    for kind, data in every_kind().items():
        with pytest.raises(Oversized):
            decode_image(data, limits)
        with pytest.raises(Oversized, match="59"):
            decode_image(data, ImageLimits(max_side=59))
        with pytest.raises(Oversized, match="bytes"):
            decode_image(data, ImageLimits(max_bytes=len(data) - 1))
        assert kind


def test_no_bytes_are_no_image():
    with pytest.raises(ImageRefused, match="empty"):
        decode_image(b"")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(sized_png(1, 2_000_000), Oversized), (b"text", Unsupported), (encode(blobs())[:-30], ImageRefused)],
    ids=["long", "text", "damaged"],
)
def test_a_file_that_is_refused_in_training_is_named(tmp_path, data, kind):
    (tmp_path / "photo.jpg").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"photo\.jpg") as caught:
        load_image(tmp_path / "photo.jpg", 32)
    assert isinstance(caught.value.__cause__, kind)
    with pytest.raises(InvalidInput, match=r"none\.jpg"):
        load_image(tmp_path / "none.jpg", 32)


def test_a_box_is_cut_out_before_the_image_is_resized():
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[:, 10:20, 30:50] = 200
    assert torch.equal(resize(image, 8, (30, 10, 50, 20)), torch.full((3, 8, 8), 200, dtype=torch.uint8))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_every_box_within_an_image_has_pixels(corners):
    (left, right), (top, bottom) = sorted(corners[:2]), sorted(corners[2:])
    part = crop(torch.zeros(3, 40, 60, dtype=torch.uint8), (60 * left, 40 * top, 60 * right, 40 * bottom))
    assert min(part.shape) >= 1


def test_a_sixteen_bit_ramp_keeps_its_upper_eight_bits():
    ramp = (np.arange(60 * 40, dtype=np.uint16) * 27).reshape(40, 60)
    assert np.array_equal(decoded(encode(Image.fromarray(ramp)))[1], ramp >> 8)


def test_a_png_holds_the_pixels_that_were_encoded():
    image = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(4, 2, 3).permute(2, 0, 1)  # not contiguous
    assert torch.equal(decode_image(to_png(image)), image)

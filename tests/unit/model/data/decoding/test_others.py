"""WebP, BMP, GIF and AVIF."""

import io

import numpy as np
import pytest
from PIL import Image

from model.data.decoding.orientation import turn
from model.data.decoding.others import webp_size
from model.data.decoding.pixels import GROUND
from model.data.decoding.refusals import Damaged, Oversized, Unsupported
from model.data.headers import read_header
from model.data.images import decode_image
from tests.support.encoded import animation, blobs, encode, every_kind, exif, pixels

WEBP = {name: data for name, data in every_kind().items() if name.startswith("webp")}


def half_seen(hidden: tuple[int, int, int]) -> Image.Image:
    """A colour in the middle, and another that is hidden under no opacity around it."""
    image = Image.new("RGBA", (40, 40), (*hidden, 0))
    image.paste((10, 200, 90, 255), (10, 10, 30, 30))
    return image


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("WEBP", {"exact": True, "quality": 100}),
        ("AVIF", {"quality": 90}),
        ("GIF", {}),
    ],
)
@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255), (255, 0, 255)])
def test_transparency_is_mid_grey_in_every_container(form, options, hidden):
    shown = decode_image(encode(half_seen(hidden), form, **options)).numpy().astype(int)
    assert np.abs(shown[:, :8] - GROUND).max() <= 2
    assert (np.abs(shown[:, 12:28, 12:28] - np.array([10, 200, 90]).reshape(3, 1, 1)) <= 12).all()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_is_refused_as_none_of_its_frames_is_the_image(form):
    with pytest.raises(Unsupported, match="is an animation") as caught:
        decode_image(animation(form))
    assert "PNG" in caught.value.hint


def test_a_gif_of_many_frames_is_refused_at_its_second():
    frames = [Image.new("L", (8, 8), number % 256) for number in range(2000)]
    with pytest.raises(Unsupported):
        read_header(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "AVIF"])
def test_one_frame_is_an_image(form):
    assert decode_image(encode(blobs(), form, save_all=True)).shape == (3, 40, 60)


@pytest.mark.parametrize("name", WEBP)
def test_the_size_of_a_webp_is_read_without_opening_it(name):
    with Image.open(io.BytesIO(WEBP[name])) as image:
        assert webp_size(WEBP[name]) == image.size


def test_a_webp_of_too_many_pixels_is_refused_before_its_decoder_sets_memory_aside():
    data = bytearray(WEBP["webp"])
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    with pytest.raises(Oversized, match="16383 x 16383"):
        decode_image(bytes(data))


@pytest.mark.parametrize("name", [name for name in every_kind() if name.split()[0] in {"webp", "bmp", "gif", "avif"}])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_damaged(name, share):
    data = every_kind()[name]
    with pytest.raises(Damaged):
        decode_image(data[: int(share * len(data))])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_bmp_is_its_own_pixels(mode):
    image = blobs().convert(mode)
    assert np.array_equal(decode_image(encode(image, "BMP")).numpy(), pixels(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_as_it_says(orientation):
    upright = decode_image(encode(blobs(), "AVIF", quality=100, subsampling="4:4:4")).numpy()
    turned = decode_image(encode(blobs(), "AVIF", quality=100, subsampling="4:4:4", exif=exif(orientation))).numpy()
    assert np.array_equal(turned, turn(upright.transpose(1, 2, 0), orientation).transpose(2, 0, 1))


def test_a_grey_webp_or_one_with_a_bad_exif_block_is_decoded():
    assert decode_image(encode(blobs(), "WEBP", exif=b"no EXIF at all")).shape == (3, 40, 60)
    assert decode_image(encode(blobs().convert("L"), "WEBP")).shape == (3, 40, 60)

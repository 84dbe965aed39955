"""Small images of encoded ones."""

import io

import numpy as np
import pytest
from PIL import Image

from model.data.decoding.refusals import ImageRefused
from model.data.thumbnails import thumbnail
from tests.support.releases import draw_image, huge_png

GREY = np.full((40, 80, 3), 90, np.uint8)


def encoded(form, turned=1, pixels=GREY):
    exif = Image.Exif()
    exif[0x0112] = turned
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("turned", "size"), [(1, (80, 40)), (6, (40, 80))])
def test_an_image_is_upright_and_keeps_its_ratio(form, turned, size):
    small = thumbnail(encoded(form, turned), 20)
    assert (small.width, small.height) == size
    assert max(Image.open(io.BytesIO(small.jpeg)).size) == 20
    assert Image.open(io.BytesIO(small.jpeg)).size == (size[0] // 4, size[1] // 4)


def test_a_small_image_is_not_enlarged_and_a_box_is_cut_out():
    assert Image.open(io.BytesIO(thumbnail(draw_image(1), 500).jpeg)).size == (48, 48)
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:20, 30:60] = 255
    cut = thumbnail(encoded("PNG", pixels=pixels), 100, (30, 10, 60, 20))
    assert (cut.width, cut.height) == (30, 10)
    assert np.asarray(Image.open(io.BytesIO(cut.jpeg))).min() > 200


@pytest.mark.parametrize("data", [b"", b"x", huge_png(), encoded("JPEG")[:400]])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ImageRefused):
        thumbnail(data, 100)

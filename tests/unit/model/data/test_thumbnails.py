"""Thumbnails: shape, what they show, and limits."""

import io

import numpy as np
import pytest
from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.decoding.refusals import Oversized, Unsupported
from model.data.thumbnails import thumbnail
from tests.support.encoded import exif
from tests.support.releases import huge_png


def encoded(image, **more):
    data = io.BytesIO()
    image.save(data, **{"format": "PNG", **more})
    return data.getvalue()


def decoded(small):
    return np.array(Image.open(io.BytesIO(small.jpeg)))


def test_the_longer_side_is_bounded_and_the_shape_kept():
    small = thumbnail(encoded(Image.new("RGB", (400, 200), "red")), 100)
    assert decoded(small).shape == (50, 100, 3)
    assert (small.width, small.height) == (400, 200)
    assert np.abs(decoded(small)[25, 50].astype(int) - [255, 0, 0]).max() < 8


def test_a_small_image_is_not_enlarged():
    assert decoded(thumbnail(encoded(Image.new("L", (30, 20), 7)), 100)).shape == (20, 30, 3)


def test_a_box_is_cut_out():
    image = Image.new("RGB", (100, 100), "white")
    image.paste("blue", (20, 30, 60, 50))
    small = thumbnail(encoded(image), 100, (20, 30, 60, 50))
    assert decoded(small).shape == (20, 40, 3)
    assert decoded(small).mean(axis=(0, 1))[2] > 240
    assert decoded(small).mean(axis=(0, 1))[0] < 15


def test_an_image_is_upright():
    turned = encoded(Image.new("RGB", (40, 20)), format="JPEG", exif=exif(6))
    assert decoded(thumbnail(turned, 100)).shape == (40, 20, 3)


def test_a_line_of_pixels_has_at_least_one_pixel():
    assert decoded(thumbnail(encoded(Image.new("RGB", (90, 1))), 10)).shape == (1, 10, 3)


def test_what_is_too_large_or_no_image_is_refused_before_it_is_decoded():
    with pytest.raises(Oversized):
        thumbnail(huge_png(), 100)
    with pytest.raises(Oversized):
        thumbnail(encoded(Image.new("RGB", (40, 40))), 100, limits=ImageLimits(max_pixels=100))
    with pytest.raises(Unsupported):
        thumbnail(b"no image", 100)

"""Images that people send: what their check finds."""

import pytest
from PIL import Image

from model.data import sent
from model.data.decoding.refusals import Damaged
from model.data.sent import Checked, check_sent
from serving.limits import IMAGE_LIMITS
from tests.support.encoded import encode, exif


def test_the_size_is_that_of_the_upright_image():
    stored = Image.new("RGB", (40, 30))
    assert check_sent(encode(stored, "JPEG", exif=exif(6)), IMAGE_LIMITS) == Checked("JPEG", (30, 40))
    assert check_sent(encode(stored), IMAGE_LIMITS) == Checked("PNG", (40, 30))


def test_what_takes_too_much_memory_is_not_decoded_and_has_no_size_unless_it_is_a_jpeg(monkeypatch):
    monkeypatch.setattr(sent, "MOST_PIXELS", 100)
    image = Image.new("RGB", (40, 30))
    broken = encode(image)[:-20]  # which decoding would find
    assert check_sent(broken, IMAGE_LIMITS) == Checked("PNG", None)
    assert check_sent(encode(image, "JPEG"), IMAGE_LIMITS) == Checked("JPEG", (40, 30))
    with pytest.raises(Damaged):
        check_sent(encode(image, "JPEG")[:-20], IMAGE_LIMITS)

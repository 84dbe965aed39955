import pytest

from model.data import pixels
from model.data.decoding.formats import DECODED, recognise
from model.data.decoding.refusals import Unsupported
from model.data.images import decode_image
from tests.support.encoded import blobs, encode, every_kind

REFUSED = {
    "TIFF": encode(blobs(), "TIFF"),
    "Photoshop": b"8BPS\0\1" + bytes(20),
    "PostScript": encode(blobs(), "EPS"),
    "SVG": b'\xef\xbb\xbf  <?xml version="1.0"?>\n<!-- a drawing -->\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "JPEG 2000": encode(blobs(), "JPEG2000"),
    "PDF": encode(blobs(), "PDF"),
    "ICO": encode(blobs(), "ICO", sizes=[(16, 16)]),
    "PNM": encode(blobs(), "PPM"),
    "MP4 video": b"\0\0\0\x18ftypisom\0\0\2\0isommp42",
    "DICOM": bytes(128) + b"DICM" + bytes(20),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_format_that_is_not_decoded_is_named_before_anything_is_decoded(name, monkeypatch):
    monkeypatch.setattr(pixels, "_decode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(Unsupported) as caught:
        decode_image(REFUSED[name])
    assert f"This is a {name} " in caught.value.headline
    assert caught.value.hint == "Convert it to JPEG or PNG."


@pytest.mark.parametrize("data", [b"text named .png", b"<html></html>", b"\0" * 100, b"GIF", b"RIFF\0\0\0\0WAVE", b"PK\3\4"])
def test_what_is_no_image_is_refused_and_what_is_decoded_is_named(data):
    with pytest.raises(Unsupported) as caught:
        recognise(data)
    assert all(name in caught.value.headline for name in DECODED)


def test_the_bytes_decide_which_format_it_is():
    names = {kind: recognise(data) for kind, data in every_kind().items()}
    for kind, name in names.items():
        assert name == {"mpo": "JPEG"}.get(kind, {"webp": "WebP"}.get(kind.split()[0], kind.split()[0].upper()))
    assert set(names.values()) == set(DECODED)


def test_a_brand_that_says_no_codec_is_told_by_the_brands_it_is_compatible_with():
    assert recognise(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"
    with pytest.raises(Unsupported, match="HEIC"):
        recognise(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf")

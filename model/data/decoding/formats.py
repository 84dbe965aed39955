"""The format of an image file, recognised by its first bytes and not by its name."""

from model.data.decoding.refusals import Unsupported

DECODED = ("JPEG", "PNG", "WebP", "BMP", "GIF", "AVIF")
"""Formats that are decoded. A multi-picture JPEG (MPO) is decoded as a JPEG, of which the first image counts."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "ICO"),
    (b"v/1\1", "OpenEXR"),
    (b"gimp xcf", "GIMP"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    *((b"P%d" % number + space, "PNM") for number in range(1, 7) for space in (b"\n", b" ")),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC"}
_BRANDS |= {b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"crx ": "camera raw"}


def recognise(data: bytes) -> str:
    """The format of an image, one of `DECODED`, by its first bytes.

    TIFF is not decoded, although Pillow reads it: a TIFF can hold pages, tiles, floats and twenty compressions, and its header
    does not limit the work of its decoder. An endpoint must refuse it before decoding, and an import does the same.

    Raises:
        Unsupported: The format is another one, which the message names, or unknown.
    """
    name = _named(data)
    if name in DECODED:
        return name
    if name:
        kind = "file" if name in {"PDF", "PostScript", "MP4 video", "Matroska video"} else "image"
        raise Unsupported(f"This is a {name} {kind}, which is not decoded.", "Convert it to JPEG or PNG.")
    raise Unsupported(f"This is no image of a known format ({', '.join(DECODED)}).")


def _named(data: bytes) -> str:
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _brand(data)
    if data[128:132] == b"DICM":
        return "DICOM"
    begun = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "SVG" if begun.startswith(b"<svg") or (begun.startswith(b"<?xml") and b"<svg" in begun) else ""


def _brand(data: bytes) -> str:
    """The format of an ISO media file, by its major brand or, if that names no codec, by a compatible brand."""
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[at : at + 4] for at in (8, *range(16, end - 3, 4))]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "MP4 video")

"""What a picture's first bytes say, read without decoding: its format and its size in pixels."""

import struct
from typing import NamedTuple


class Header(NamedTuple):
    """The format (`jpeg`, `png`, `webp`, `bmp`) and the size in pixels that a file claims."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> Header | None:
    """The header of an encoded picture; None where it is none of the four formats, or is cut off within the header."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return Header("png", *struct.unpack(">II", data[16:24]))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            width, height = struct.unpack("<ii", data[18:26])
            return Header("bmp", abs(width), abs(height))
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(data: bytes) -> Header | None:
    """Walk the segments to the start of frame, which holds the size."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return Header("jpeg", width, height)
        alone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if alone else 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None


def _webp(data: bytes) -> Header | None:
    """Lossy, lossless and extended files keep their size in three different places."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return Header("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return Header("webp", (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
    if kind == b"VP8X":
        width, height = struct.unpack("<3s3s", data[24:30])
        return Header("webp", int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1)
    return None


def ends_early(data: bytes, header: Header) -> bool:
    """Whether the file is visibly cut short where its decoder would not notice."""
    if header.format == "png":
        return data.rfind(b"IEND") < 0
    if header.format == "webp":
        return len(data) < 8 + int(struct.unpack("<I", data[4:8])[0])
    return False

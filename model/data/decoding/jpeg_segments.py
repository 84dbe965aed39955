"""The segments of a JPEG: its EXIF block, its scans and its end, and holes in the data of its pixels."""

import re
from dataclasses import dataclass, field

MAX_SCANS = 100
"""Maximum scans. Each scan passes over all pixels, even if it has few bytes. Encoders write about ten."""
MAX_SEGMENTS = 10_000
"""Maximum segments. A segment holds up to 65,533 bytes, so even 64 MiB of profiles and previews need a tenth of these."""
HOLE = bytes(64)
"""A run of zeros that no encoder writes, unless zeros are the code of a flat block: it would be three equal blocks."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_WHOLE_BLOCKS = {0xC0, 0xC1}
"""Markers of frames whose scans carry whole blocks in Huffman codes."""
_PROGRESSIVE_HUFFMAN = 0xC2
_ALL_THERE: list[int | None] = [0] * 64


@dataclass
class Segments:
    """The content of the segments of the first image in a JPEG file.

    Attributes:
        exif: The EXIF block; None if there is none.
        ended: Whether the end marker is there.
        frame: Marker of the frame, which names the coding of the pixels; 0 if there is none.
        count: Number of segments.
        scans: Number of scans.
        missing: Missing bits of each of the 64 coefficients, by component; None for a coefficient of which nothing was sent.
        zero_codes: Symbol whose code consists of zeros, by AC Huffman table.
        zeros_are_flat: Whether zeros in the data of the last scan mean flat blocks.
        hole: Whether there is a run of zeros that cannot be pixels.
    """

    exif: bytes | None = None
    ended: bool = False
    frame: int = 0
    count: int = 0
    scans: int = 0
    missing: dict[int, list[int | None]] = field(default_factory=dict)
    zero_codes: dict[int, int] = field(default_factory=dict)
    zeros_are_flat: bool = True
    hole: bool = False

    @property
    def progressive(self) -> bool:
        """Whether later scans refine earlier ones."""
        return self.frame in _PROGRESSIVE

    @property
    def complete(self) -> bool:
        """Whether the scans carry every coefficient in full."""
        return all(component == _ALL_THERE for component in self.missing.values())

    @property
    def too_many(self) -> bool:
        """Whether there are more segments or scans than an honest file has."""
        return self.count > MAX_SEGMENTS or self.scans > MAX_SCANS


def read_segments(data: bytes) -> Segments:
    """Read the markers of a JPEG's first image. The reading stops at the first segment that is damaged; no error is raised.

    It goes on to the end marker, also where all pixels were sent: the decoder passes over them again for each further scan.
    """
    segments = Segments()
    at = 2
    while (match := _MARKER.search(data, at)) and not segments.too_many:
        _look_for_hole(segments, data, at, match.start())
        code, at = data[match.end() - 1], match.end()
        if code == 0xD9:
            segments.ended = True
            break
        if code in {0x01, 0xD8}:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if length < 2 or len(segment) != length - 2:
            break
        at += length
        _note(segments, code, segment)
    else:
        _look_for_hole(segments, data, at, len(data))
    return segments


def _look_for_hole(segments: Segments, data: bytes, start: int, end: int) -> None:
    if not segments.zeros_are_flat and data.find(HOLE, start, end) >= 0:
        segments.hole = True


def _note(segments: Segments, code: int, segment: bytes) -> None:
    """Note the content of one segment."""
    segments.count += 1
    segments.zeros_are_flat = True
    if code == 0xE1 and segments.exif is None and segment.startswith(b"Exif\0\0"):
        segments.exif = segment
    elif code == 0xC4:
        _note_tables(segments, segment)
    elif code in _FRAMES and len(segment) > 5:
        segments.frame = code
        segments.missing = {component: [None] * 64 for component in segment[6 : 6 + 3 * segment[5] : 3]}
    elif code == 0xDA and len(segment) > 3 and len(segment) >= 4 + 2 * segment[0]:
        _note_scan(segments, segment)


def _note_tables(segments: Segments, segment: bytes) -> None:
    """Note the symbol of the code of zeros for each AC Huffman table: the first of its shortest codes."""
    at = 0
    while at + 17 < len(segment):
        if segment[at] & 0x10:
            segments.zero_codes[segment[at] & 15] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])


def _note_scan(segments: Segments, segment: bytes) -> None:
    """Note which coefficients of which components a scan carries, and what zeros in its data mean.

    Zeros mean a hole only in scans that send coefficients other than the blocks' means for the first time: there a symbol without
    bits of its own ends one block or many. In other scans long runs of zeros are valid.
    """
    segments.scans += 1
    components, tables = segment[1 : 1 + 2 * segment[0] : 2], segment[2 : 2 + 2 * segment[0] : 2]
    first, last, bits = segment[-3:]
    if not segments.progressive:  # one scan carries all coefficients of a component, although some cameras write others here
        first, last, bits = 0, 63, 0
    for component in components:
        if component in segments.missing and first <= last <= 63:
            segments.missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    if segments.frame in _WHOLE_BLOCKS or (segments.frame == _PROGRESSIVE_HUFFMAN and first > 0 and segment[-1] >> 4 == 0):
        segments.zeros_are_flat = all(segments.zero_codes.get(table & 15, 0) & 15 == 0 for table in tables)

"""What stands in a JPEG around its pixels: its EXIF block, its scans and its end; and holes in the pixels' own data."""

import re
from dataclasses import dataclass, field

MAX_SCANS = 100
"""Each scan of a progressive JPEG goes over all pixels, however few bytes it has. Encoders write ten or so."""
MAX_SEGMENTS = 10_000
"""A segment holds up to 65,533 bytes, so even a file of 64 MiB whose profiles and previews fill it needs a tenth of these."""
HOLE = bytes(64)
"""A run of zeros that no encoder writes, unless zeros mean 'a flat block': it would be three blocks of equal coefficients."""
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_WHOLE_BLOCKS = {0xC0, 0xC1}
"""Frames whose scans each carry whole blocks, in Huffman codes."""
_PROGRESSIVE_HUFFMAN = 0xC2
_ALL_THERE: list[int | None] = [0] * 64


@dataclass
class Segments:
    """What stands between the entropy-coded data of the first image in a JPEG file.

    Attributes:
        exif: The EXIF block.
        ended: Whether the end marker is there.
        frame: The marker of the frame, which says how pixels are coded; 0 where there is none.
        count: Number of segments.
        scans: Number of scans.
        missing: By component, the bits that each of its 64 coefficients still misses; None where nothing of it came.
        zero_codes: By AC Huffman table, the symbol whose code is nothing but zeros.
        zeros_are_flat: Whether zeros in the data of the last scan mean flat blocks.
        hole: Whether a run of zeros stands where it can be no pixels.
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
        """Whether the scans refine each other."""
        return self.frame in _PROGRESSIVE

    @property
    def complete(self) -> bool:
        """Whether the scans that are there carry every coefficient in full."""
        return all(component == _ALL_THERE for component in self.missing.values())

    @property
    def too_many(self) -> bool:
        """Whether there are more segments or scans than an honest file has."""
        return self.count > MAX_SEGMENTS or self.scans > MAX_SCANS


def read_segments(data: bytes) -> Segments:
    """Walk over the markers of a JPEG's first image. Anything that cannot be read ends the walk; nothing is raised."""
    found = Segments()
    at = 2
    while (match := _MARKER.search(data, at)) and not found.too_many:
        _look_for_hole(found, data, at, match.start())
        code, at = data[match.end() - 1], match.end()
        if code == 0xD9:
            found.ended = True
            break
        if code in {0x01, 0xD8}:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if length < 2 or len(segment) != length - 2:
            break
        at += length
        _note(found, code, segment)
        if code == 0xDA and not found.progressive and found.complete:  # what follows is pixels alone, without other markers
            end = data.find(_END, at)
            found.ended = end >= 0
            _look_for_hole(found, data, at, end if found.ended else len(data))
            break
    return found


def _look_for_hole(found: Segments, data: bytes, start: int, end: int) -> None:
    if not found.zeros_are_flat and data.find(HOLE, start, end) >= 0:
        found.hole = True


def _note(found: Segments, code: int, segment: bytes) -> None:
    """Note what one segment says."""
    found.count += 1
    found.zeros_are_flat = True
    if code == 0xE1 and found.exif is None and segment.startswith(b"Exif\0\0"):
        found.exif = segment
    elif code == 0xC4:
        _note_tables(found, segment)
    elif code in _FRAMES and len(segment) > 5:
        found.frame = code
        found.missing = {component: [None] * 64 for component in segment[6 : 6 + 3 * segment[5] : 3]}
    elif code == 0xDA and len(segment) > 3 and len(segment) >= 4 + 2 * segment[0]:
        _note_scan(found, segment)


def _note_tables(found: Segments, segment: bytes) -> None:
    """Note, for each AC Huffman table, the symbol of the code of zeros, which is the first of the shortest codes."""
    at = 0
    while at + 17 < len(segment):
        if segment[at] & 0x10:
            found.zero_codes[segment[at] & 15] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])


def _note_scan(found: Segments, segment: bytes) -> None:
    """Note which coefficients of which components a scan carries, and what zeros in its data mean.

    They are looked for where coefficients are first sent, other than the blocks' means: there a symbol without bits of its own
    ends a block, or many. Means may change by the same small step for long, and refinements may be zeros for long.
    """
    found.scans += 1
    components, tables = segment[1 : 1 + 2 * segment[0] : 2], segment[2 : 2 + 2 * segment[0] : 2]
    first, last, bits = segment[-3:]
    if not found.progressive:  # one scan carries all of a component, whatever some cameras write here
        first, last, bits = 0, 63, 0
    for component in components:
        if component in found.missing and first <= last <= 63:
            found.missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    if found.frame in _WHOLE_BLOCKS or (found.frame == _PROGRESSIVE_HUFFMAN and first > 0 and segment[-1] >> 4 == 0):
        found.zeros_are_flat = all(found.zero_codes.get(table & 15, 0) & 15 == 0 for table in tables)

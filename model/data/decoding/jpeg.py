"""JPEG: decoded by libjpeg-turbo, whose warnings tell a damaged file from a whole one.

libjpeg fills what it misses with grey and prints a warning; most libraries let both pass. simplejpeg hands the warning on.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.refusals import Damaged

MAX_SCANS = 100
"""Each scan of a progressive JPEG goes over all pixels, however few bytes it has. Encoders write ten or so."""
MAX_PADDING = 0.01
"""The share of a file that may be bytes without meaning. Some cameras pad; where a part was lost, far more is left over."""
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ALL_THERE: list[int | None] = [0] * 64
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes")


@dataclass
class Segments:
    """What stands between the entropy-coded data of the first image in a JPEG file.

    Attributes:
        exif: The EXIF block.
        ended: Whether the end marker is there.
        progressive: Whether the scans refine each other.
        scans: How many there are.
        missing: By component, the bits that each of its 64 coefficients still misses; None where nothing of it came.
    """

    exif: bytes | None = None
    ended: bool = False
    progressive: bool = False
    scans: int = 0
    missing: dict[int, list[int | None]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the scans that are there carry every coefficient in full."""
        return all(component == _ALL_THERE for component in self.missing.values())


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG, as its decoder will take them.

    Raises:
        Damaged: The header cannot be read.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:
        raise Damaged("The JPEG is damaged: its header cannot be read.") from error
    return width, height


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG to (H, W, 3) RGB, turned as its EXIF says; CMYK and YCCK as Adobe writes them.

    Raises:
        Damaged: A part is missing: libjpeg says so, or the scans end before every coefficient came.
    """
    segments = read_segments(data)
    if segments.scans > MAX_SCANS:
        raise Damaged(f"The JPEG has more than {MAX_SCANS} scans.")
    if not segments.complete:
        raise Damaged("The JPEG is damaged: its last scans are missing.")
    # without its end marker alone, an image is whole; where more is missing the decoder warns in either case
    return turn(_pixels(data if segments.ended else data + _END), read_orientation(segments.exif))


def _pixels(data: bytes) -> NDArray[np.uint8]:
    try:
        try:
            return simplejpeg.decode_jpeg(data, "RGB")
        except ValueError as warning:
            if _is_damage(str(warning), len(data)):
                raise
            return simplejpeg.decode_jpeg(data, "RGB", strict=False)
    except (ValueError, KeyError) as error:
        raise Damaged(f"The JPEG is damaged: {str(error).removeprefix('Corrupt JPEG data: ')}.") from error


def _is_damage(message: str, size: int) -> bool:
    """Whether what libjpeg says means lost pixels. It is silent about odd markers that cost none, or warns of them in passing."""
    padding = _EXTRANEOUS.search(message)
    if padding:
        return int(padding[1]) > MAX_PADDING * size
    return not message.startswith(("Invalid SOS parameters", "Inconsistent progression", "Warning:", "Unknown Adobe"))


def read_segments(data: bytes) -> Segments:
    """Walk over the markers of a JPEG's first image. Anything that cannot be read ends the walk; nothing is raised."""
    found = Segments()
    at = 2
    while match := _MARKER.search(data, at):
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
        if code == 0xDA and not found.progressive and found.complete:  # what follows is pixels alone, and need not be searched
            found.ended = data.rfind(_END) >= at
            break
    return found


def _note(found: Segments, code: int, segment: bytes) -> None:
    if code == 0xE1 and found.exif is None and segment.startswith(b"Exif\0\0"):
        found.exif = segment
    elif code in _FRAMES and len(segment) > 5:
        found.progressive = code in _PROGRESSIVE
        found.missing = {component: [None] * 64 for component in segment[6 : 6 + 3 * segment[5] : 3]}
    elif code == 0xDA and len(segment) > 3 and len(segment) >= 4 + 2 * segment[0]:
        found.scans += 1
        components, (first, last, bits) = segment[1 : 1 + 2 * segment[0] : 2], segment[-3:]
        if not found.progressive:  # one scan carries all of a component, whatever some cameras write here
            first, last, bits = 0, 63, 0
        for component in components:
            if component in found.missing and first <= last <= 63:
                found.missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)

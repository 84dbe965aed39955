"""JPEG, decoded by libjpeg-turbo, whose warnings tell damaged files from whole ones.

libjpeg fills missing parts with grey and warns. Most libraries ignore the warning; simplejpeg reports it.
"""

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from model.data.decoding.jpeg_segments import MAX_SCANS, MAX_SEGMENTS, read_segments
from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.refusals import Damaged

MAX_PADDING = 0.01
"""Maximum share of meaningless bytes in a file. Some cameras pad their files; a lost part leaves far more such bytes."""
MAX_PASSED = 2_000_000_000
"""Maximum pixels that all scans pass over together, which takes the decoder some four seconds: twenty times the largest image."""
_END = b"\xff\xd9"
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes")


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG, as its decoder reads them.

    Raises:
        Damaged: The header cannot be read.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:
        raise Damaged("The JPEG is damaged: its header cannot be read.") from error
    return width, height


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG to (H, W, 3) RGB, turned as its EXIF states. CMYK and YCCK are read as Adobe writes them.

    Raises:
        Damaged: A part is missing: libjpeg warns of it, a run of zeros replaces it, or the scans end before all coefficients
            were sent.
    """
    segments = read_segments(data)
    if segments.too_many:
        raise Damaged(f"The JPEG has more than {MAX_SCANS} scans or {MAX_SEGMENTS} segments.")
    width, height = jpeg_size(data)
    if segments.scans * width * height > MAX_PASSED:
        raise Damaged(f"The JPEG has {segments.scans} scans, too many for {width} x {height} pixels.")
    if segments.hole:
        raise Damaged("The JPEG is damaged: zeros stand where a part of the image was.")
    if not segments.complete:
        raise Damaged("The JPEG is damaged: its last scans are missing.")
    # an image that lacks only its end marker is whole; if more is missing, the decoder warns in either case
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
    """Whether a warning of libjpeg means lost pixels. Some warnings are about odd markers that lose none."""
    padding = _EXTRANEOUS.search(message)
    if padding:
        return int(padding[1]) > MAX_PADDING * size
    return not message.startswith(("Invalid SOS parameters", "Inconsistent progression", "Warning:", "Unknown Adobe"))

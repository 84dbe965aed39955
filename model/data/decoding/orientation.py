"""The orientation of an image: the EXIF tag 0x0112, read in the same way for all formats."""

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
_TAG = 0x0112
_WIDTHS = {1: 1, 3: 2, 4: 4}
"""Bytes of one value by its type: BYTE, SHORT, LONG."""


def read_orientation(exif: bytes | None) -> int:
    """The orientation that an EXIF block states, 1 to 8; 1 if it states none or cannot be read.

    Decoding does not need the EXIF block, so a damaged block does not make a damaged image.
    """
    block = (exif or b"").removeprefix(b"Exif\0\0")
    if block[:4] not in {b"II*\0", b"MM\0*"}:
        return UPRIGHT
    order: str = "little" if block[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for entry in range(first + 2, min(first + 2 + 12 * number(first, 2), len(block) - 11), 12):
        if number(entry, 2) == _TAG:
            value = number(entry + 8, _WIDTHS.get(number(entry + 2, 2), 4))
            return value if UPRIGHT <= value <= 8 else UPRIGHT
    return UPRIGHT


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror stored pixels (H, W, C) so that they are upright: (H, W, C), or (W, H, C) for orientations 5 to 8."""
    if orientation == UPRIGHT:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in {3, 4, 7, 8} else 1)
    columns = slice(None, None, -1 if orientation in {2, 3, 6, 7} else 1)
    return np.array(pixels[rows, columns], order="C")  # a copy, because torch takes no view with negative strides

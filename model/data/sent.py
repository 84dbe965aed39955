"""Images that people send to a process that has other work, such as the dashboard: checked and made small in little memory.

A file of a kilobyte can be an image of 50 million pixels, and take 36 bytes for each while it is decoded.
"""

import threading
from dataclasses import dataclass

from model.data.decoding.limits import ImageLimits
from model.data.headers import Header, read_header
from model.data.pixels import decode_pixels
from model.data.thumbnails import Thumbnail, thumbnail

MOST_PIXELS = 12_000_000
"""Pixels of an image from which on it is not decoded here. A JPEG, which takes 4 bytes a pixel, is."""
DECODING = threading.BoundedSemaphore(2)
"""Images that the process decodes at once; one of them takes 450 MB at most."""


@dataclass(frozen=True)
class Checked:
    """What the check of an image found.

    Attributes:
        format: Its format.
        size: Width and height of the upright image; None for one that takes too much memory to be decoded here.
    """

    format: str
    size: tuple[int, int] | None


def check_sent(data: bytes, limits: ImageLimits) -> Checked:
    """Decode an image to see that it is whole; of one that takes too much memory for that the header is checked.

    Raises:
        ImageRefused: The image is damaged or beyond the limits.
    """
    header = read_header(data, limits)
    if _is_heavy(header):
        return Checked(header.format, None)
    with DECODING:
        height, width, _ = decode_pixels(data, limits).shape
    return Checked(header.format, (width, height))


def small_sent(data: bytes, side: int, limits: ImageLimits) -> Thumbnail | None:
    """An image whose longer side has at most `side` pixels; None for one that takes too much memory to be decoded here.

    Raises:
        ImageRefused: The image is damaged or beyond the limits.
    """
    if _is_heavy(read_header(data, limits)):
        return None
    with DECODING:
        return thumbnail(data, side, limits=limits)


def _is_heavy(header: Header) -> bool:
    return header.format != "JPEG" and header.width * header.height > MOST_PIXELS

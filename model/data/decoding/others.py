"""WebP, BMP, GIF and AVIF, which Pillow decodes."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.pixels import to_rgb
from model.data.decoding.refusals import Damaged, Oversized

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our limits are checked before Pillow's


def open_image(data: bytes, form: str) -> Image.Image:
    """Open an image of that format without decoding it.

    Raises:
        Damaged: The image ends early, or its header cannot be read.
        Oversized: The image has more pixels than Pillow opens.
    """
    if form == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise Damaged("The WebP is damaged: it ends before the image does.")
    try:
        return Image.open(io.BytesIO(data), formats=(form.upper(),))
    except Image.DecompressionBombError as error:
        raise Oversized("The image has too many pixels.", "Save it smaller.") from error


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP; None if it states none. They are read here because Pillow allocates memory at opening."""
    if len(data) < 30:
        return None
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def decode_other(data: bytes, form: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decode an image of that format to (H, W, 3) RGB, turned as its EXIF states, transparency on `pixels.GROUND`.

    WebP, BMP and GIF have no checksum of their pixels, so a damaged file can give wrong colours and no error.
    """
    with open_image(data, form) as image:
        limits.check_size(*image.size)  # the size of the same object that is decoded
        image.load()
        return turn(to_rgb(image), read_orientation(image.info.get("exif")))

"""Small images for pages: decoded within limits, without torch, and the latest ones kept in memory."""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi.responses import Response
from PIL import Image

from model.data.decoding.limits import ImageLimits
from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.others import open_image
from model.data.decoding.pixels import to_rgb
from model.data.decoding.png import decode_png
from model.data.decoding.refusals import Damaged, ImageRefused
from model.data.headers import read_header
from model.data.manifest import Box
from model.errors import InvalidInput, NotFound

SIDES = (160, 320, 640, 1280)
"""Longest sides in which images are shown, in pixels."""
_KEPT = 1000
"""Small images that are kept. One of 160 pixels takes about 5 kB, one of 1280 pixels up to 300 kB."""
_QUALITY = 82
_YEAR = "private, max-age=31536000, immutable"


@dataclass(frozen=True)
class SmallImage:
    """A reduced image.

    Attributes:
        jpeg: The reduced image as a JPEG.
        width: Width of the whole image, upright, in pixels.
        height: Its height.
    """

    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The reduced image as a data: URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode()


def reduced(data: bytes, longest: int, box: Box | None = None, limits: ImageLimits | None = None) -> SmallImage:
    """An encoded image, or a box in it, reduced to a longest side in pixels; a smaller one keeps its size.

    Raises:
        ImageRefused: It is no image, beyond the limits, or damaged.
    """
    form = read_header(data, limits or ImageLimits()).format
    try:
        image, (width, height) = _decoded(data, form, longest if box is None else 0)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:  # Pillow raises errors of every kind over damaged files
        raise Damaged(f"The {form} is damaged and cannot be decoded.") from error
    if box is not None:
        left, top, right, bottom = (round(side) for side in box)
        image = image.crop((left, top, max(left + 1, right), max(top + 1, bottom)))
        width, height = image.size
    image.thumbnail((longest, longest))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return SmallImage(written.getvalue(), width, height)


def _decoded(data: bytes, form: str, longest: int) -> tuple[Image.Image, tuple[int, int]]:
    """An image, upright, and its size. A JPEG is decoded at a fraction of its size if a longest side is given."""
    if form == "PNG":
        image = Image.fromarray(decode_png(data))
        return image, image.size
    with open_image(data, form) as stored:
        width, height = stored.size
        orientation = read_orientation(stored.info.get("exif"))
        if form == "JPEG" and longest:
            stored.draft("RGB", (longest, longest))
        image = Image.fromarray(turn(to_rgb(stored), orientation))
        return image, (height, width) if orientation >= 5 else (width, height)


def small_file(file: Path, side: int, box: Box | None = None) -> Response:
    """The answer to a request for a small image of a file whose address names its content, so that browsers may keep it.

    Args:
        file: The image.
        side: Longest side in pixels, one of `SIDES`.
        box: The part that is shown; None: all.

    Raises:
        InvalidInput: There is no such side.
        NotFound: There is no such file, or no image in it.
    """
    if side not in SIDES:
        raise InvalidInput("There is no such size.", f"Sizes: {', '.join(map(str, SIDES))}.")
    image = small_image(file, side, box)
    if image is None:
        raise NotFound("This image is not on this machine, or damaged.")
    return Response(image.jpeg, media_type="image/jpeg", headers={"Cache-Control": _YEAR})


def small_image(file: Path, longest: int, box: Box | None = None) -> SmallImage | None:
    """A small image of a file, or of a box in it; None if there is no file, or no image in it."""
    try:
        return _small(file, file.stat().st_mtime_ns, longest, box)
    except (OSError, ImageRefused):
        return None


@lru_cache(maxsize=_KEPT)
def _small(file: Path, changed: int, longest: int, box: Box | None) -> SmallImage:
    return reduced(file.read_bytes(), longest, box)

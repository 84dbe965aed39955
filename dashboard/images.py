"""Small images of files, for pages; the latest ones are kept in memory."""

import threading
from functools import lru_cache
from pathlib import Path

from fastapi.responses import Response

from model.data.manifest import Box
from model.data.thumbnails import Thumbnail, thumbnail
from model.errors import InvalidInput, NotFound

SIDES = (160, 320, 640)
"""Longest sides in which images are shown, in pixels."""
_KEPT = 1000
"""Small images that are kept. One of 160 pixels takes about 5 kB, one of 640 pixels up to 100 kB."""
_decoding = threading.BoundedSemaphore(2)
"""Images that are decoded at once, each of which may take 300 MB."""
_FOR_EVER = "private, max-age=31536000, immutable"


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
    return Response(image.jpeg, media_type="image/jpeg", headers={"Cache-Control": _FOR_EVER})


def small_image(file: Path, longest: int, box: Box | None = None) -> Thumbnail | None:
    """A small image of a file, or of a box in it; None if there is no file, or no image in it."""
    try:
        return _small(file, file.stat().st_mtime_ns, longest, box)
    except (OSError, InvalidInput):
        return None


@lru_cache(maxsize=_KEPT)
def _small(file: Path, changed: int, longest: int, box: Box | None) -> Thumbnail:
    with _decoding:
        return thumbnail(file.read_bytes(), longest, box)

"""Small images for pages: two are decoded at a time, and the latest ones are kept in memory."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from fastapi.responses import Response

from model.data.decoding.limits import ImageLimits
from model.data.headers import DEFAULT
from model.data.manifest import Box
from model.data.thumbnails import Thumbnail, thumbnail
from model.errors import NotFound

_KEPT = {160: 2000, 320: 1000, 640: 200, 1280: 8}
"""Small images that are kept, by their longest side in pixels: of 5, 20, 100 and 300 kB or so."""
_decoding = threading.BoundedSemaphore(2)
"""Images that are decoded at once, each of which may take 300 MB."""
_FOR_EVER = "private, max-age=31536000, immutable"


class Source(Protocol):
    """An image that pages show; what is equal shows the same."""

    def read(self) -> tuple[bytes, Box | None]:
        """The encoded image, and the part of it that is shown; None: all.

        Raises:
            NotFound: It is not on this machine.
        """

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class FileImage:
    """A file, or a box in it.

    Attributes:
        file: The file.
        box: The part that is shown; None: all.
        changed: When it was written last, in nanoseconds since 1970.
    """

    file: Path
    box: Box | None
    changed: int

    @classmethod
    def of(cls, file: Path, box: Box | None = None) -> "FileImage":
        """The file as it is now."""
        try:
            return cls(file, box, file.stat().st_mtime_ns)
        except OSError as error:
            raise NotFound("This image is not on this machine.") from error

    def read(self) -> tuple[bytes, Box | None]:
        """The file and the box."""
        try:
            return self.file.read_bytes(), self.box
        except OSError as error:
            raise NotFound("This image is not on this machine.") from error


def small_image(source: Source, side: int) -> Thumbnail:
    """An image made small.

    Args:
        source: The image.
        side: Longest side in pixels: 160, 320, 640 or 1280.

    Raises:
        NotFound: There is no such size, or the image is not on this machine.
        InvalidInput: The image is damaged or beyond the limits.
    """
    if side not in _KEPT:
        raise NotFound("There is no such size.", f"Sizes: {', '.join(map(str, _KEPT))}.")
    return _made[side](source)


def answer_small(source: Source, side: int) -> Response:
    """The answer to a request for an image whose address names its content, so that browsers may keep it; see `small_image`."""
    return Response(small_image(source, side).jpeg, media_type="image/jpeg", headers={"Cache-Control": _FOR_EVER})


def sent_image(data: bytes, side: int, box: Box | None = None, limits: ImageLimits = DEFAULT) -> Thumbnail:
    """An image that somebody sent or chose, or a box in it, made small; nothing is kept.

    Raises:
        InvalidInput: The image is damaged or beyond the limits.
    """
    with _decoding:
        return thumbnail(data, side, box, limits)


def _making(side: int) -> Callable[[Source], Thumbnail]:
    def make(source: Source) -> Thumbnail:
        with _decoding:
            data, box = source.read()
            return thumbnail(data, side, box)

    return lru_cache(_KEPT[side])(make)


_made = {side: _making(side) for side in _KEPT}

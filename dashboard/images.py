"""Small images for pages: two are decoded at a time, and the latest ones are kept in memory."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from fastapi.responses import Response

from model.data.manifest import Box
from model.data.sent import DECODING
from model.data.thumbnails import Thumbnail, thumbnail
from model.errors import NotFound

_KEPT = {160: 2000, 320: 1000, 640: 200, 1280: 8}
"""Small images that are kept, by their longest side in pixels: of 5, 20, 100 and 300 kB or so."""
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


def chosen_image(source: Source, side: int) -> Thumbnail:
    """An image that somebody chose, made small; nothing is kept. Raises as `small_image`."""
    return _decoded(source, side)


def _decoded(source: Source, side: int) -> Thumbnail:
    with DECODING:
        data, box = source.read()
        return thumbnail(data, side, box)


_made = {side: lru_cache(most)(partial(_decoded, side=side)) for side, most in _KEPT.items()}

"""Upper limits of an encoded image. Its header is compared with them before any pixel is decoded."""

from dataclasses import dataclass

from model.data.decoding.refusals import Oversized

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000
MAX_SIDE = 32_767
"""Longest side that OpenCV's warps address. An image of that length and 100 million pixels is ten times as long as wide."""
MAX_RATIO = 100
"""Maximum ratio of the long side to the short one. A trunk reads a square, so a longer image would be averaged away."""


@dataclass(frozen=True)
class ImageLimits:
    """Upper limits of one encoded image.

    Attributes:
        max_bytes: Maximum bytes of the file.
        max_pixels: Maximum width times height.
        max_side: Maximum width and height.
        max_ratio: Maximum ratio of the long side to the short one.
    """

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    max_side: int = MAX_SIDE
    max_ratio: int = MAX_RATIO

    def check_bytes(self, count: int) -> None:
        """Refuse more bytes than `max_bytes`.

        Raises:
            Oversized: There are more bytes.
        """
        if count > self.max_bytes:
            raise Oversized(f"The image has {count} bytes, more than {self.max_bytes}.", "Save it smaller.")

    def check_size(self, width: int, height: int) -> None:
        """Refuse an image with too many pixels, too long a side, or too large a ratio of its sides.

        Raises:
            Oversized: One of the limits is exceeded.
        """
        size = f"The image has {width} x {height} pixels"
        if max(width, height) > self.max_side:
            raise Oversized(f"{size}: no side may be longer than {self.max_side}.", "Save it smaller.")
        if width * height > self.max_pixels:
            raise Oversized(f"{size}, more than {self.max_pixels}.", "Save it smaller.")
        if max(width, height) > self.max_ratio * min(width, height):
            raise Oversized(f"{size}: one side is more than {self.max_ratio} times the other.", "Cut it into parts.")

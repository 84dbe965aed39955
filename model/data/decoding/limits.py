"""What an image may be at most. The limits are compared with its header, before any pixel is decoded."""

from dataclasses import dataclass

from model.data.decoding.refusals import Oversized

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000
MAX_SIDE = 32_767
"""The longest side that OpenCV's warps address. At 100 million pixels such an image is already ten times as long as wide."""
MAX_RATIO = 100
"""Of the long side to the short one. A trunk sees a square: of a longer image it would see an average of hundreds of pixels."""


@dataclass(frozen=True)
class ImageLimits:
    """The most that one encoded image may hold.

    Attributes:
        max_bytes: Of the file.
        max_pixels: Width times height.
        max_side: Of width and of height.
        max_ratio: Of the long side to the short one.
    """

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    max_side: int = MAX_SIDE
    max_ratio: int = MAX_RATIO

    def check_bytes(self, count: int) -> None:
        """Refuse more than `max_bytes`.

        Raises:
            Oversized: There are more.
        """
        if count > self.max_bytes:
            raise Oversized(f"The image has {count} bytes, more than {self.max_bytes}.", "Save it smaller.")

    def check_size(self, width: int, height: int) -> None:
        """Refuse an image of too many pixels, or of a side or a shape that nothing can be recognised in.

        Raises:
            Oversized: One of the limits is passed.
        """
        size = f"The image has {width} x {height} pixels"
        if max(width, height) > self.max_side:
            raise Oversized(f"{size}: no side may be longer than {self.max_side}.", "Save it smaller.")
        if width * height > self.max_pixels:
            raise Oversized(f"{size}, more than {self.max_pixels}.", "Save it smaller.")
        if max(width, height) > self.max_ratio * min(width, height):
            raise Oversized(f"{size}: one side is more than {self.max_ratio} times the other.", "Cut it into parts.")

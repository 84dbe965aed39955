"""Errors for images that are not decoded. `kind` is the kind of the finding if the image is part of an import."""

from model.errors import InvalidInput


class ImageRefused(InvalidInput):
    """An image that is not decoded."""

    kind = "unreadable"


class Oversized(ImageRefused):
    """An image with too many bytes or pixels, too long a side, or too large a ratio of its sides."""

    kind = "oversized"


class Unsupported(ImageRefused):
    """A file that is no image, an image of a format that is not decoded, or an animation."""

    kind = "unsupported"


class Damaged(ImageRefused):
    """An image of a known format of which a part is missing or wrong."""

    kind = "damaged"

"""Why an image is not decoded. `kind` is the finding's name when the image is part of an import."""

from model.errors import InvalidInput


class ImageRefused(InvalidInput):
    """An image that is not decoded."""

    kind = "unreadable"


class Oversized(ImageRefused):
    """An image with more bytes or pixels than are taken, or far longer than it is wide."""

    kind = "oversized"


class Unsupported(ImageRefused):
    """A file that is no image, an image of a format that is not decoded, or an animation."""

    kind = "unsupported"


class Damaged(ImageRefused):
    """An image of a known format of which a part is missing or wrong."""

    kind = "damaged"

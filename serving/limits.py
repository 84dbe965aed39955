"""Limits of one image that is sent to the endpoint. Stored archives import the names of the protocol from here as well."""

from model.data.decoding.limits import ImageLimits
from serving.protocol import K_HEADER, MAX_DIGITS, RELEASE

__all__ = ["IMAGE_LIMITS", "K_HEADER", "MAX_BYTES", "MAX_DIGITS", "MAX_PIXELS", "RELEASE"]

MAX_BYTES = 32 * 2**20
"""Maximum bytes of an encoded image. TorchServe holds the whole body in the JVM's memory, so training accepts more."""
MAX_PIXELS = 50_000_000
"""Maximum pixels of an image. A worker holds 3 bytes per pixel of a JPEG, and at most 36: for a PNG of 16 bits with alpha."""
IMAGE_LIMITS = ImageLimits(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
"""Both limits, and those of every image: the longest side, and the ratio of the sides."""

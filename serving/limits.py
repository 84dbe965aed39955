"""Limits of what is sent to the endpoint."""

from model.data.decoding.limits import ImageLimits

MAX_BYTES = 32 * 2**20
"""Maximum bytes of an encoded image. The endpoint holds whole images in memory, so training accepts more."""
MAX_BODY = 2 * MAX_BYTES
"""Maximum bytes of the body of a request: two images of the largest size."""
MAX_PIXELS = 50_000_000
"""Maximum pixels of an image. A worker holds 3 bytes per pixel of a JPEG, and at most 36: for a PNG of 16 bits with alpha."""
IMAGE_LIMITS = ImageLimits(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
"""Both limits, and those of every image: the longest side, and the ratio of the sides."""

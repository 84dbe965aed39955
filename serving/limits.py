"""What one request may ask of the endpoint, and what its two sides agree on."""

from model.data.decoding.limits import ImageLimits

MAX_BYTES = 32 * 2**20
"""Of the image as sent. TorchServe holds the whole body in the JVM's memory, so this is below what training accepts."""
MAX_PIXELS = 50_000_000
"""Of the image as decoded. Meanwhile a worker holds 3 bytes per pixel of a JPEG and at most 36: a PNG of 16 bits with alpha."""
IMAGE_LIMITS = ImageLimits(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
"""The same, and what no image may pass anywhere: the longest side, and the ratio of two sides."""
MAX_DIGITS = 9
"""Of k, before it is clamped to the gallery's size."""

RELEASE = "release"
"""The folder of an archive that holds the release."""
K_HEADER = "Glocal-K"
"""Says how many neighbours are wanted: TorchServe hands its handlers headers, but no query parameters."""

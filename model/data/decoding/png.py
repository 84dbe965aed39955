"""PNG. Only the chunks of the pixels are passed to the decoder, so that texts, profiles and time stamps cannot disturb it."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.decoding.orientation import read_orientation, turn
from model.data.decoding.pixels import eight_bits, on_ground, to_rgb
from model.data.decoding.refusals import Damaged

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_EXIF_TEXTS = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
_MAX_EXIF = 2**18
"""Maximum bytes of an EXIF block in a text; a camera's block has some ten thousand."""
_MAX_CHUNKS = 100_000
"""Maximum chunks. Encoders write chunks of eight thousand bytes or more; reading millions of tiny chunks takes seconds."""
_GREY, _COLOUR, _ALPHA = 0, 2, 4
"""Bits of a PNG's colour type; the type of colour with alpha is their sum."""


@dataclass(frozen=True)
class PngHeader:
    """The header of a PNG, and its number of frames."""

    width: int
    height: int
    depth: int
    colour: int
    frames: int


def png_header(data: bytes) -> PngHeader:
    """Size, kind and number of frames of a PNG.

    Raises:
        Damaged: The header is missing.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Damaged("The PNG is damaged: its header is missing.")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    frames = 1
    for name, body, _ in _chunks(data):
        if name == b"acTL":
            frames = int.from_bytes(body[:4], "big")
        if name == b"IDAT":
            break
    return PngHeader(width, height, data[24], data[25], frames)


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Decode a PNG to (H, W, 3) RGB, turned as its EXIF states, transparency on `pixels.GROUND`.

    16 bits become 8 by the depth that the image uses; see `eight_bits`.

    Raises:
        Damaged: The file ends early or has two headers, or a checksum is wrong. Pillow raises its own errors for wrong pixels.
    """
    header, exif, parts, name = png_header(data), None, [_SIGNATURE], b""
    for name, body, checksum in _chunks(data):
        if name in _PIXELS:
            if checksum != zlib.crc32(body, zlib.crc32(name)):
                raise Damaged("The PNG is damaged: a checksum is wrong.")
            if name == b"IHDR" and len(parts) > 1:  # its size was never compared with the limits
                raise Damaged("The PNG is damaged: it has two headers.")
            parts.append(_sealed(name, _scaled_key(body, header) if name == b"tRNS" else body))
        elif name == b"eXIf":
            exif = bytes(body)
        elif name in {b"tEXt", b"zTXt"} and exif is None:
            exif = _exif_in_text(name, body)
        if name == b"IEND":
            break
    if name != b"IEND":
        raise Damaged("The PNG is damaged: it ends before the image does.")
    pixels = _decode_deep(parts, header) if header.depth == 16 else _decode_shallow(parts)
    return turn(pixels, read_orientation(exif))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Name, body and checksum of every complete chunk; the bodies are views of `data`."""
    view, at, count = memoryview(data), len(_SIGNATURE), 0
    while at + 12 <= len(data):
        count += 1
        if count > _MAX_CHUNKS:
            raise Damaged(f"The PNG has more than {_MAX_CHUNKS} chunks.")
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        if end + 4 > len(data):
            return
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : end], int.from_bytes(view[end : end + 4], "big")
        at = end + 4


def _sealed(name: bytes, body: bytes | memoryview) -> bytes:
    """The bytes of a chunk in a file: its length, name, body and checksum."""
    return b"".join((len(body).to_bytes(4, "big"), name, body, zlib.crc32(body, zlib.crc32(name)).to_bytes(4, "big")))


def _scaled_key(body: memoryview, header: PngHeader) -> bytes | memoryview:
    """The transparent colour in eight bits, as Pillow compares it with samples that it scaled to eight bits."""
    if header.colour not in {_GREY, _COLOUR} or header.depth == 16 or len(body) % 2:
        return body
    largest = (1 << header.depth) - 1
    factor = 255 // largest if header.depth > 1 else 1
    keys = [(int.from_bytes(body[at : at + 2], "big") & largest) * factor for at in range(0, len(body), 2)]
    return b"".join(key.to_bytes(2, "big") for key in keys)


def _exif_in_text(name: bytes, body: memoryview) -> bytes | None:
    """The EXIF block that ImageMagick writes as hexadecimal text; None if the text is another one or cannot be read."""
    keyword = next((start for start in _EXIF_TEXTS if body[: len(start)] == start), None)
    if keyword is None:
        return None
    text = body[len(keyword) :]
    try:
        shown = zlib.decompressobj().decompress(text[1:], 2 * _MAX_EXIF) if name == b"zTXt" else bytes(text[: 2 * _MAX_EXIF])
        return bytes.fromhex(shown.decode("latin-1").split("\n", 3)[3])  # the lines are: empty, kind, length, block
    except (zlib.error, ValueError, IndexError):
        return None


def _decode_shallow(parts: list[bytes]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(b"".join(parts)), formats=("PNG",)) as image:
        image.load()
        return to_rgb(image)


def _decode_deep(parts: list[bytes], header: PngHeader) -> NDArray[np.uint8]:
    """Decode 16-bit samples. The depths of the visible colour and of alpha are determined separately."""
    samples = _samples(parts, header)
    colours = 3 if header.colour & _COLOUR else 1
    alpha = _deep_alpha(parts, samples, colours)
    seen = samples[..., :colours] if alpha is None else np.where(alpha > 0, samples[..., :colours], np.uint16(0))
    colour = np.broadcast_to(eight_bits(seen), (*samples.shape[:2], 3))
    return colour.copy() if alpha is None else on_ground(colour, alpha)


def _deep_alpha(parts: list[bytes], samples: NDArray[np.uint16], colours: int) -> NDArray[np.uint8] | None:
    """The alpha (H, W, 1) of 16-bit samples: their last channel, or 0 for the transparent colour; None without alpha."""
    if samples.shape[2] > colours:
        return eight_bits(samples[..., colours:])
    keys = [part[8:-4] for part in parts if part[4:8] == b"tRNS"]
    if not keys or len(keys[0]) != 2 * colours:
        return None
    hidden = (samples == np.frombuffer(keys[0], ">u2")).all(axis=2, keepdims=True)
    return np.where(hidden, np.uint8(0), np.uint8(255))


def _samples(parts: list[bytes], header: PngHeader) -> NDArray[np.uint16]:
    """The samples (H, W, C) of a 16-bit PNG. For several channels Pillow decodes upper and lower bytes separately."""
    if header.colour == _ALPHA:  # grey with alpha has four bytes a pixel, as 8-bit colour with alpha has
        parts = [_eight_bit_header(part) if part[4:8] == b"IHDR" else part for part in parts]
    data = b"".join(part for part in parts if part[4:8] != b"tRNS")
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        upper, mode = np.array(image), image.mode
    if header.colour == _GREY:
        return upper.astype(np.uint16)[..., None]
    if header.colour == _ALPHA:
        return np.ascontiguousarray(upper).view(">u2").astype(np.uint16)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.tile = [tile._replace(args=f"{mode};16L") for tile in image.tile]  # type: ignore[attr-defined]
        samples = upper.astype(np.uint16)
        samples <<= 8
        samples |= np.asarray(image)
        return samples


def _eight_bit_header(part: bytes) -> bytes:
    body = bytearray(part[8:-4])
    body[8:10] = bytes((8, _COLOUR | _ALPHA))
    return _sealed(b"IHDR", bytes(body))

"""Images as files, in every container and of every kind that a decoder may meet."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 8
"""Side of the blocks in which a JPEG is coded, and of which its smallest units are made without subsampling."""


def blobs(seed: int = 0, size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Soft blobs of every colour, width by height: no two seeds look alike, and no side is like another."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def flat_blocks(seed: int = 0, size: tuple[int, int] = (56, 40)) -> Image.Image:
    """Grey blocks of 8 x 8 pixels, each of one value: a JPEG holds them without loss, whatever they are turned to."""
    width, height = size
    values = np.random.default_rng(seed).integers(0, 256, (height // _BLOCK, width // _BLOCK), dtype=np.uint8)
    return Image.fromarray(np.kron(values, np.ones((_BLOCK, _BLOCK), np.uint8))).convert("RGB")


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The image as a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(3, H, W) as an image's decoder should give it."""
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def exif(orientation: int) -> bytes:
    """An EXIF block with that orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def stored_as(image: Image.Image, orientation: int) -> Image.Image:
    """An upright image as it is stored under that orientation, so that following the tag gives the image again."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return image.transpose(back[orientation]) if orientation in back else image


def chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_head(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    """The header chunk of a PNG."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png(samples: NDArray[np.integer], colour: int, *between: bytes, depth: int = 16, interlaced: bool = False) -> bytes:
    """A PNG of (H, W, C) samples, unfiltered, with the chunks `between` before its pixels.

    Args:
        samples: Of 1, 2, 4, 8 or 16 bits.
        colour: The colour type: 0 grey, 2 colour, 3 palette, 4 grey and alpha, 6 colour and alpha.
        between: Chunks.
        depth: Bits of a sample.
        interlaced: Whether the pixels come in the seven passes of Adam7.
    """
    height, width = samples.shape[:2]
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [samples[top::down, left::right] for top, left, down, right in starts] if interlaced else [samples]
    rows = b"".join(b"\0" + _packed(row, depth) for part in passes if part.size for row in part)
    head = png_head(width, height, depth, colour, int(interlaced))
    return PNG_SIGNATURE + head + b"".join(between) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _packed(row: NDArray[np.integer], depth: int) -> bytes:
    """One row of samples as bytes."""
    if depth >= 8:
        return row.astype(">u2" if depth == 16 else np.uint8).tobytes()
    bits = row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def sized_png(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel that says it has that size, and holds no pixels."""
    return PNG_SIGNATURE + png_head(width, height, 1, 0) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation(form: str, **options: object) -> bytes:
    """Two frames."""
    return encode(blobs(), form, save_all=True, append_images=[blobs(1)], **options)


def scans(data: bytes) -> list[int]:
    """Where each scan of a progressive JPEG begins."""
    return [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]


def many_scans(count: int) -> bytes:
    """A progressive JPEG with so many empty scans before its own."""
    whole = encode(blobs(), "JPEG", progressive=True)
    start = scans(whole)[0]
    scan = whole[start : start + 2 + int.from_bytes(whole[start + 2 : start + 4], "big")]
    return whole[:start] + scan * count + whole[start:]


def every_kind() -> dict[str, bytes]:
    """One small file of each kind that is decoded, by name."""
    image = blobs()
    alpha = image.convert("RGBA")
    alpha.putalpha(image.convert("L"))
    grey = np.asarray(image.convert("L")).astype(np.uint16)[..., None] * 257
    colour = np.asarray(image).astype(np.uint16) * 257
    return {
        "jpeg": encode(image, "JPEG", exif=exif(6)),
        "jpeg progressive": encode(image, "JPEG", progressive=True),
        "jpeg restarts": encode(image, "JPEG", restart_marker_rows=1),
        "jpeg grey": encode(image.convert("L"), "JPEG"),
        "jpeg cmyk": encode(image.convert("CMYK"), "JPEG"),
        "mpo": encode(image, "MPO", save_all=True, append_images=[blobs(1)]),
        "png": encode(image, exif=exif(3)),
        "png palette": encode(alpha.quantize(64)),
        "png one bit": encode(image.convert("1")),
        "png grey and alpha": encode(image.convert("LA")),
        "png alpha": encode(alpha),
        "png 16 grey": png(grey, 0),
        "png 16 colour": png(colour, 2, interlaced=True),
        "png 16 grey and alpha": png(np.concatenate([grey, grey], 2), 4),
        "png 16 alpha": png(np.concatenate([colour, grey], 2), 6),
        "webp": encode(image, "WEBP", exif=exif(8)),
        "webp lossless": encode(alpha, "WEBP", lossless=True),
        "webp alpha": encode(alpha, "WEBP"),
        "bmp": encode(image, "BMP"),
        "bmp palette": encode(image.quantize(16), "BMP"),
        "gif": encode(image.quantize(32), "GIF", transparency=3),
        "avif": encode(alpha, "AVIF"),
    }


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with some bits flipped, bytes zeroed, doubled or cut out, or its end lost."""
    damaged = bytearray(data)
    at, many = int(rng.integers(len(data))), int(rng.integers(1, 1 + len(data) // 4))
    match int(rng.integers(6)):
        case 0 | 1:
            for _ in range(int(rng.integers(1, 9))):
                damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        case 2:
            damaged[at : at + many] = bytes(len(damaged[at : at + many]))
        case 3:
            damaged[at:at] = damaged[at : at + many]
        case 4:
            del damaged[at : at + many]
        case _:
            del damaged[at:]
    return bytes(damaged)

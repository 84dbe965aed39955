"""A tiny but real release: a small trunk with random weights, a gallery of drawn images, true golden answers."""

import io
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from model.data.images import decode_image
from model.files import write_json
from model.networks.methods import METHODS
from model.networks.stored import NetworkSpec, save_network
from model.release import Release, seal_release, space_id
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.retriever import Retriever
from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold
from model.schemas.data_pin import DataPin

TRUNK = "test_efficientnet"
ENTRIES = 10
CLASSES = 5


def draw_image(seed: int, *, size: int = 48) -> bytes:
    """A PNG of coloured blocks, another for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png(side: int = 30_000) -> bytes:
    """A valid one-bit PNG of side x side pixels in a few kilobytes, made row by row."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_pin(**changes: object) -> DataPin:
    """A data pin that names nothing real."""
    named = {"repo": "data", "rev": "0" * 40, "path": "drawn", "md5": "d" * 32}
    return DataPin(**{**named, "files": ENTRIES, "bytes": 1000, "classes": CLASSES, **changes})


def make_parts(folder: Path, *, seed: int = 0, trunk: str = TRUNK, image_size: int = 32, golden: int = 2) -> Path:
    """Everything of a release but its manifest, in `folder`."""
    torch.manual_seed(seed)
    spec = NetworkSpec("multi_head", trunk, image_size, METHODS["multi_head"].architecture)
    network = spec.build()
    images = [draw_image(number) for number in range(ENTRIES)]
    bare = Retriever(network, image_size, _gallery(np.zeros((0, 1), np.float32)))
    retriever = Retriever(network, image_size, _gallery(bare.embed([decode_image(image) for image in images])))
    (folder / "golden").mkdir(parents=True)
    save_network(network, spec, folder)
    write_json(folder / "calibration.json", {})
    retriever.gallery.save(folder / "gallery", space_id(folder))
    answers = []
    for number in range(golden):
        image = draw_image(100 + number)
        (folder / "golden" / f"{number}.png").write_bytes(image)
        (found,), (vector,) = retriever.search([decode_image(image)], 3), retriever.embed([decode_image(image)])
        named = {"file": f"{number}.png", "embedding": vector.tolist()}
        answers.append({**named, "neighbours": [neighbour.model_dump() for neighbour in found]})
    write_json(folder / "golden" / "answers.json", answers)
    return folder


def make_release(folder: Path, *, seed: int = 0, trunk: str = TRUNK, image_size: int = 32, golden: int = 2) -> Release:
    """A sealed release in `folder`."""
    parts = make_parts(folder.with_name(folder.name + ".parts"), seed=seed, trunk=trunk, image_size=image_size, golden=golden)
    release = seal_release(parts, folder, pin=make_pin(), code_revision="test")
    shutil.rmtree(parts)
    return release


def make_full_release(folder: Path, *, seed: int = 0) -> Release:
    """A sealed release that offers every operation."""
    from tests.support.detection import add_exemplars  # which makes releases of its own

    parts = make_parts(folder.with_name(folder.name + ".parts"), seed=seed)
    add_exemplars(parts)
    calibration = Calibration(
        verify={"0.01": VerifyThreshold(threshold=0.9, true_accept_rate=1)}, identify={"0.01": IdentifyThreshold(threshold=0.9)}
    )
    write_json(parts / "calibration.json", calibration.model_dump())
    release = reseal(parts, folder)
    shutil.rmtree(parts)
    return release


def reseal(release: Path, out: Path) -> Release:
    """Seal a release's parts again after they were altered on purpose."""
    return seal_release(release, out, pin=make_pin(), code_revision="test")


def _gallery(vectors: np.ndarray) -> LocalGallery:
    numbers = range(len(vectors))
    labels = np.array([number % CLASSES for number in numbers], np.int64)
    ids = np.array([f"drawn/{number}.png" for number in numbers], dtype=str)
    return LocalGallery(vectors, Entries.of(labels, ids, [f"class {number}" for number in range(CLASSES)]))

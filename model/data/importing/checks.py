"""The check of every image of a source: it is read once, hashed, measured, decoded, and copied into the data set.

Threads share the work, because the decoder releases the interpreter's lock. Their results are written into arrays.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.appearance import Appearances
from model.data.decoding.limits import ImageLimits
from model.data.decoding.refusals import ImageRefused
from model.data.headers import read_header
from model.data.images import crop, decode_image, to_png
from model.data.importing.chunks import over_chunks
from model.data.importing.findings import Findings
from model.data.importing.hashing import md5
from model.data.importing.listing import Listing
from model.data.importing.names import LONGEST_NAME
from model.data.importing.reading import Defect, read_file
from model.progress import Progress

_OF_NAMES = {"invalid name", "name taken"}
"""Kinds of defects of a file's name, which `skip_unreadable` does not leave out."""


@dataclass
class Inspection:
    """The results of the check of a listing's images.

    Attributes:
        md5: (F, 16) uint8, MD5 of each file's bytes.
        usable: (F,) bool, whether the file is an image that may be stored.
        suffix: (F,) int8, index into `STORED_SUFFIXES` of the suffix that is added to the file's name; 0 adds none.
        valid: (N,) bool, whether the sample is usable: a usable file, and a box within it.
        boxes: (N, 4) float32, the sample's box in pixels; NaN where it is the whole image, or the file is not usable.
        appearances: Appearance of each sample.
    """

    md5: NDArray[np.uint8]
    usable: NDArray[np.bool_]
    suffix: NDArray[np.int8]
    valid: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    appearances: Appearances

    @classmethod
    def empty(cls, files: int, samples: int) -> "Inspection":
        """The inspection before any image was read."""
        return cls(
            np.zeros((files, 16), np.uint8),
            np.zeros(files, bool),
            np.zeros(files, np.int8),
            np.zeros(samples, bool),
            np.full((samples, 4), np.nan, np.float32),
            Appearances.empty(samples),
        )


STORED = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp"}
"""Formats whose files are stored unchanged, and the suffix that is added where the name has another. Others are stored as PNG."""
STORED_NAMES = (*STORED.values(), ".jpeg")
"""Suffixes with which an unchanged file keeps its name."""
STORED_SUFFIXES = ("", *STORED.values())


def inspect(
    listing: Listing,
    limits: ImageLimits,
    images: Path,
    findings: Findings,
    progress: Progress,
    *,
    skip_unreadable: bool = False,
    normalised: bool = False,
) -> Inspection:
    """Check every image of `listing`, and copy the usable ones below `images` under their own names.

    A file is read once, so the bytes that are checked are stored. A BMP, GIF or AVIF is stored as a PNG of the same pixels.

    Args:
        listing: The listing of the source.
        limits: Limits of an image.
        images: Folder that the images are copied into.
        findings: Receives every defect and warning.
        progress: Called after every chunk of files.
        skip_unreadable: Whether a file that is no usable image is left out rather than a defect.
        normalised: Whether boxes are fractions of the image's width and height.
    """
    inspection = Inspection.empty(len(listing.files), len(listing.file))
    order = np.argsort(np.frombuffer(listing.file, np.int64), kind="stable")
    starts = np.searchsorted(np.frombuffer(listing.file, np.int64)[order], np.arange(len(listing.files) + 1))

    def work(chunk: range) -> Findings:
        of_chunk = Findings()
        for file in chunk:
            name, rows = listing.files[file], order[starts[file] : starts[file + 1]]
            try:
                image = _take(listing.root, name, file, limits=limits, images=images, inspection=inspection, findings=of_chunk)
            except Defect as defect:
                if skip_unreadable and defect.kind not in _OF_NAMES:
                    of_chunk.drop(defect.kind, name, f"{defect.text.rstrip('.')}; left out", len(rows))
                else:
                    of_chunk.defect(defect.kind, name, defect.text)
                continue
            for row in rows:
                box = _in_pixels(listing.box_array[row], image) if normalised else listing.box_array[row]
                inspection.boxes[row] = box
                _check_sample(image, name, int(row), inspection=inspection, findings=of_chunk)
        return of_chunk

    for of_chunk in over_chunks(work, len(listing.files), "images checked", progress):
        findings.add(of_chunk)
    return inspection


def _take(
    root: Path, name: str, file: int, *, limits: ImageLimits, images: Path, inspection: Inspection, findings: Findings
) -> Tensor:
    """Read, check and store one file; return its pixels."""
    data = read_file(root / name, limits)
    inspection.md5[file] = md5(data)
    image, stored, suffix = decode(data, Path(name).suffix.lower(), limits)
    _store(stored, images, name + STORED_SUFFIXES[suffix])
    inspection.usable[file], inspection.suffix[file] = True, suffix
    if stored is not data:
        findings.warn("converted", name, "stored as a PNG")
    return image


def _in_pixels(box: NDArray[np.float32], image: Tensor) -> NDArray[np.float32]:
    """A normalised box in pixels of an image, rounded to hundredths."""
    height, width = image.shape[1:]
    return np.round(box * np.array([width, height, width, height], np.float32), 2)


def _check_sample(image: Tensor, name: str, row: int, *, inspection: Inspection, findings: Findings) -> None:
    """Enter the appearance of one sample of an image, or a defect if its box reaches out of the image or is too small."""
    part, box = image, inspection.boxes[row]
    if not np.isnan(box[0]):
        left, top, right, bottom = (float(value) for value in box)
        said, size = f"the box {left:g},{top:g},{right:g},{bottom:g}", f"{image.shape[2]} x {image.shape[1]}"
        if left < 0 or top < 0 or right > image.shape[2] or bottom > image.shape[1]:
            findings.defect("box outside", name, f"{said} reaches out of the image of {size} pixels")
            return
        if right - left < 1 or bottom - top < 1:
            text = f"{said} is less than a pixel of the image of {size}; boxes are in pixels unless data.boxes is normalised"
            findings.defect("bad box", name, text)
            return
        part = crop(image, (left, top, right, bottom))
    inspection.valid[row] = True
    inspection.appearances.enter(row, part)


def decode(data: bytes, suffix: str, limits: ImageLimits) -> tuple[Tensor, bytes, int]:
    """Decode an encoded image after its header is checked.

    Returns:
        The image (3, H, W) uint8 RGB, the bytes to store, which decode to the same image, and the index into `STORED_SUFFIXES` of
        the suffix that its name needs.
    """
    try:
        form = read_header(data, limits).format
        image = decode_image(data, limits)
    except ImageRefused as error:
        raise Defect(error.kind, str(error)) from error
    stored = data if form in STORED else to_png(image)
    wanted = STORED.get(form, ".png")
    keeps = suffix in STORED_NAMES if stored is data else suffix == wanted
    return image, stored, 0 if keeps else STORED_SUFFIXES.index(wanted)


def _store(data: bytes, images: Path, name: str) -> None:
    if len(os.fsencode(name.rsplit("/", 1)[-1])) > LONGEST_NAME:
        raise Defect("invalid name", f"with its suffix it has more than {LONGEST_NAME} bytes")
    target = images / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as stream:
            stream.write(data)
    except FileExistsError as error:
        raise Defect("name taken", f"another image is stored as {name}") from error

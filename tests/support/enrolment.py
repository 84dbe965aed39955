"""Galleries to enrol images in: data of drawn images, as they are fetched, and a release with thresholds of its own."""

from pathlib import Path

from model.data.manifest import write_manifest
from model.data.versions.integrity import file_md5
from model.files import read_json, write_json
from model.gallery_changes import PinnedImages
from model.release import Release, seal_release
from model.schemas.data_pin import DataPin
from tests.support.releases import draw_image, make_parts, make_pin

STATED = {"threshold": 0.9, "rate_interval": [0.0, 0.02]}
"""A threshold for `identify` at a false-accept rate of 0.01."""


def pinned(folder: Path, images: dict[str, tuple[str, bytes]], **changes: object) -> PinnedImages:
    """A data set of images: path -> label and bytes."""
    for path, (_, data) in images.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    write_manifest(folder, [(path, label, "distractor", None) for path, (label, _) in images.items()])
    pin = make_pin(**{"path": "new", "rev": "4f2c1ab" + "0" * 33, "md5": "e" * 32, **changes})
    return PinnedImages(pin, folder, hashes_of(folder))


def hashes_of(folder: Path) -> dict[str, str]:
    """The MD5 of every file, as DVC lists them."""
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in folder.rglob("*") if path.is_file()}


def drawn(label: str, *seeds: int, size: int = 48) -> dict[str, tuple[str, bytes]]:
    """Drawn images of a label, one for each seed."""
    return {f"{label}/{seed}.png": (label, draw_image(seed, size=size)) for seed in seeds}


def make_base(folder: Path, *, threshold: float = 0.9, pin: DataPin | None = None, seed: int = 0) -> Release:
    """A release of `tests.support.releases` that states a threshold for `identify`. Its entries are drawn images 0 to 9."""
    parts = make_parts(folder.with_name(folder.name + ".parts"), seed=seed)
    stated = {**STATED, "threshold": threshold}
    write_json(parts / "calibration.json", {**read_json(parts / "calibration.json"), "identify": {"0.01": stated}})
    return seal_release(parts, folder, pin=pin or make_pin(), code_revision="test")


def drawn_hashes(folder: Path) -> dict[str, str]:
    """The MD5s of the images of that release's gallery."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(10):
        (folder / f"{number}.png").write_bytes(draw_image(number))
    return {f"drawn/{name}": md5 for name, md5 in hashes_of(folder).items()}

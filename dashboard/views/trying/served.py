"""What serves, as the pages of this part need it: the versions on record, their labels and thresholds, example images."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import read_manifest, sample_id
from model.data.spread import evenly
from model.errors import GlocalError, InvalidInput, NotFound, Unavailable
from model.home import Home
from serving.archive import stored_calibration, stored_gallery
from serving.released_data import Place, data_of_release, place_of
from serving.rollout.deployed import read_deployed

EXAMPLES, SCENES = 6, 2
"""Example images, and example scenes."""


@dataclass(frozen=True)
class Served:
    """A version that serves.

    Attributes:
        model: Name of the served model.
        version: Its version.
        release: Id of its release.
        space: Id of its embedding space.
        labels: Labels of its gallery, sorted; empty if the archive does not tell.
        groups: Groups of its gallery, sorted.
        rates: False-accept rates that it has thresholds for, by operation.
        folders: Its fetched data; see `serving.released_data`.
    """

    model: str
    version: str
    release: str
    space: str
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    rates: Mapping[str, tuple[float, ...]]
    folders: Mapping[str, Path]

    def image(self, entry: str, side: int = 320) -> str:
        """The address of the small image of a gallery entry; empty if the image is not on this machine."""
        return self.address(entry, side) if place_of(entry, self.folders) else ""

    def address(self, entry: str, side: int) -> str:
        """The address of the small image of an entry whose image is on this machine."""
        return f"/try/images/{self.model}/{self.version}/{self.release}?{urlencode({'id': entry, 'side': side})}"


def served_models(home: Home) -> tuple[str, ...]:
    """Names of the models that serve, as far as the endpoint's record says.

    Raises:
        InvalidInput: The record is damaged.
    """
    return tuple(sorted(read_deployed(home.serve.deployed)))


def choose_served(home: Home, model: str) -> Served:
    """The version of a model that serves; without a name that of the first one.

    Raises:
        NotFound: No model of this name serves.
        Unavailable: None serves.
        InvalidInput: The record is damaged.
    """
    deployed = read_deployed(home.serve.deployed)
    if not deployed:
        raise Unavailable("No model serves yet.", "Train one, or start the endpoint: glocal run DIR, glocal serve start.")
    name = model or min(deployed)
    if name not in deployed:
        raise NotFound(f"No model {name[:100]} is served.", f"Served: {', '.join(sorted(deployed))}.")
    entry = deployed[name]
    archive = home.serve.store / entry.archive
    labels, groups, rates = _read(archive, entry.sha256)
    folders = data_of_release(home, name, entry.version, entry.release)
    return Served(name, entry.version, entry.release, entry.embedding_space_id, labels, groups, rates, folders)


@lru_cache(maxsize=32)
def _read(archive: Path, sha256: str) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[float, ...]]]:
    """Labels, groups and rates of an archive's release. The hash of its bytes is a part of the cache's key."""
    try:
        gallery = stored_gallery(archive)
    except InvalidInput:
        gallery = None
    calibration = stored_calibration(archive)
    known = {"verify": [*calibration.verify], "identify": [*calibration.identify]} if calibration else {}
    rates = {name: tuple(sorted(map(float, stated))) for name, stated in known.items()}
    return (
        tuple(sorted(gallery.classes)) if gallery else (),
        tuple(sorted(filter(None, gallery.groups or ()))) if gallery else (),
        rates,
    )


@dataclass(frozen=True)
class Example:
    """An image of the data set to try with.

    Attributes:
        id: Id of the sample.
        label: Its label; empty for a scene.
        image: Address of its small image.
    """

    id: str
    label: str
    image: str


def examples(served: Served, label: str = "") -> list[Example]:
    """Some images of the data that a version was made from; none if they are not on this machine.

    Args:
        served: The version.
        label: Only images of this label; empty: of test classes, and scenes.
    """
    found: list[tuple[str, str]] = []
    for beginning, folder in served.folders.items():
        if not label and beginning:  # the training data are enough
            continue
        with contextlib.suppress(GlocalError):  # a damaged folder has no examples
            found += [(f"{beginning}{sample}", shown) for sample, shown in _examples(folder, label)]
    return [Example(sample, shown, served.address(sample, 160)) for sample, shown in found[: EXAMPLES + SCENES]]


@lru_cache(maxsize=64)
def _examples(folder: Path, label: str) -> list[tuple[str, str]]:
    """Ids and labels of examples in the folder of a data set, whose name is the hash of its content."""
    manifest = read_manifest(folder)
    scenes = manifest.rows("scene")
    names = np.array(manifest.classes, dtype=str)[manifest.labels]
    rows = manifest.rows("test", "val", "train", "distractor")
    if label:
        chosen, scenes = rows[names[rows] == label], scenes[:0]
    else:
        tested = manifest.rows("test") if len(manifest.rows("test")) else rows
        _, first = np.unique(manifest.labels[tested], return_index=True)
        chosen = tested[np.sort(first)]
    _, first = np.unique(manifest.paths[scenes], return_index=True)
    scenes = scenes[np.sort(first)]
    shown = [(sample_id(str(manifest.paths[row]), manifest.boxes[row]), str(names[row])) for row in _some(chosen, EXAMPLES)]
    return shown + [(str(manifest.paths[row]), "") for row in _some(scenes, SCENES)]


def _some(rows: NDArray[np.int64], count: int) -> list[int]:
    return [int(rows[number]) for number in evenly(len(rows), count)]


def placed(home: Home, model: str, version: str, release: str, entry: str) -> Place:
    """Where the image of an entry of a release lies.

    Raises:
        NotFound: It is not on this machine.
    """
    place = place_of(entry, data_of_release(home, model, version, release))
    if place is None:
        raise NotFound("This image is not on this machine.", "It was not fetched, or its version no longer serves.")
    return place

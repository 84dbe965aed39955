"""A home to look at: two revisions of a drawn data set, and a registered release whose gallery holds the first of them."""

import shutil
from pathlib import Path

import numpy as np

from model.config import DataConfig
from model.data.importing.pinning import pin_dataset
from model.data.manifest import Manifest
from model.data.versions.stored import open_stored
from model.environment import Environment
from model.home import Home
from model.release import Release, seal_release, space_id
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.schemas.data_pin import DataPin
from serving.registry.models import Registry
from tests.support.lineage import EIGHT, NAME
from tests.support.releases import make_parts
from tests.support.sources import draw, make_source


def make_revisions(home: Home, root: Path) -> tuple[DataPin, DataPin]:
    """Eight classes of four images; then one image more, one less, and one under another label."""
    source = make_source(root / NAME, EIGHT, shots=4)
    first = pin_dataset(source, NAME, home.data, DataConfig(licence="CC0")).pin
    draw(source / "ant" / "9.png", 999)
    (source / "bee" / "0.png").unlink()
    shutil.move(source / "cat" / "0.png", source / "dog" / "8.png")
    return first, pin_dataset(source, NAME, home.data, DataConfig(licence="CC0")).pin


def vectors_of(manifest: Manifest) -> np.ndarray:
    """A unit vector for each sample, near those of its class; the first sample of `dog` lies among those of `cat`."""
    labels = manifest.labels.copy()
    labels[np.flatnonzero(labels == manifest.classes.index("dog"))[0]] = manifest.classes.index("cat")
    centres, random = np.eye(len(manifest.classes), 16), np.random.default_rng(0)
    vectors = (centres[labels] + 0.05 * random.standard_normal((len(labels), 16))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_release_over(home: Home, pin: DataPin, folder: Path) -> Release:
    """A release whose gallery holds every sample of a version."""
    manifest = open_stored(home.data, pin.md5).manifest.classified
    parts = make_parts(folder / "parts")
    shutil.rmtree(parts / "gallery")
    entries = Entries.of(manifest.labels, manifest.ids.tolist(), manifest.classes)
    LocalGallery(vectors_of(manifest), entries).save(parts / "gallery", space_id(parts))
    return seal_release(parts, folder / "release", pin=pin, code_revision="test")


def make_home(root: Path) -> tuple[Environment, DataPin, DataPin]:
    """The home, and its two revisions; version 1 of the model is champion."""
    home = Home.at(root / "home")
    first, second = make_revisions(home, root)
    registry = Registry(home.tracking_uri, NAME)
    version = registry.register(make_release_over(home, first, root / "made"), {"map_at_r": 0.4})
    registry.set_alias(version, "champion")
    return Environment(home=home), first, second

"""A shelf: a model of two objects that serves, for tests that enrol others and ask."""

from model.config import DataConfig
from model.data.images import decode_image, to_png
from model.data.importing.pinning import pin_dataset
from model.data.versions.fetch import fetch, file_hashes
from model.files import write_json
from model.gallery_changes import PinnedImages, replace_gallery
from model.release import LOCAL_FEATURES, seal_release
from model.retrieval.local_features import extract
from model.retrieval.stored_reranker import pack, save_reranker
from serving.registry.models import Registry
from tests.support.detection import add_exemplars
from tests.support.images import scenery
from tests.support.promotions import to
from tests.support.releases import ENTRIES, draw_image, make_parts

GALLERY = DataConfig(split="gallery")
THRESHOLD = {"threshold": 0.9995, "rate_interval": [0.0, 0.02]}


def shown(seed, side=96):
    """An object that fills its image, another for each seed."""
    return scenery(seed, side)


def draw(folder, **labels):
    """A folder of images: label -> seeds."""
    for label, seeds in labels.items():
        for seed in seeds:
            file = folder / label / f"{seed}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(to_png(shown(seed)))
    return folder


def serve_shelf(home, root, name, *, matches=False):
    """Version 1, which serves: a network with random weights, two images each of cup and jar, enrolled for detection as well.

    Args:
        home: The home.
        root: Folder for what is made on the way.
        name: Name of the model and of its data set.
        matches: Whether it has local features, and a threshold for pairs, too.
    """
    pin = pin_dataset(draw(root / name, cup=(1, 2), jar=(3, 4)), name, home.data, GALLERY).pin
    parts = make_parts(root / "parts")
    pairs = {"verify": {"0.01": {**THRESHOLD, "true_accept_rate": 0.9}}} if matches else {}
    write_json(parts / "calibration.json", {"identify": {"0.01": THRESHOLD}, **pairs})
    add_exemplars(parts)
    if matches:
        plain = seal_release(parts, root / "plain", pin=pin, code_revision="test")
        size = plain.spec.image_size
        features = extract(plain.network, [decode_image(draw_image(number)) for number in range(ENTRIES)], size)
        save_reranker(parts / LOCAL_FEATURES, pack(features, size), None, 0.9, plain.embedding_space_id)
    bare = seal_release(parts, root / "bare", pin=pin, code_revision="test")
    images = PinnedImages(pin, fetch(pin, home.data, home.datasets), file_hashes(pin, home.data, home.datasets))
    release = replace_gallery(bare, images, root / "release", code_revision="test")
    assert Registry(home.tracking_uri, name).register(release, {"map_at_r": 0.5}) == "1"
    to(home, "1", name)
    return release

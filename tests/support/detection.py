"""Objects with texture on a plain ground, and a small network with random weights that describes them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from model.data.images import to_png
from model.data.manifest import Box, Manifest, read_manifest, write_manifest
from model.detection.cutouts import Sample
from model.detection.enrolling import enrol_objects
from model.detection.exemplars import Exemplars
from model.detection.labelling import default_labelling
from model.detection.references import Describer
from model.detection.stored_exemplars import save_exemplars
from model.networks.methods import METHODS
from model.networks.stored import NetworkSpec, load_network
from model.release import EXEMPLARS, space_id
from tests.support.images import scenery

GROUND = 128
OBJECT = 96
NAMES = ("cup", "jar", "tin")


def describer(method: str = "multi_head", side: int = 32) -> Describer:
    """A small network with random weights."""
    torch.manual_seed(0)
    return Describer(NetworkSpec(method, "test_efficientnet", side, METHODS[method].architecture).build(), side)


def thing(name: str, side: int = OBJECT, turn: float = 0.0) -> Tensor:
    """An object seen at a size, turned by an angle in degrees: (3, side, side), larger if it is turned."""
    image = functional.resize(scenery(NAMES.index(name), OBJECT * 2), [side, side], antialias=True)
    return functional.rotate(image, turn, expand=True, fill=[GROUND] * 3) if turn else image


def scene(*placed: tuple[Tensor, int, int], width: int = 320, height: int = 240) -> Tensor:
    """Objects with their left and top, the later ones in front, on a grey ground: (3, height, width)."""
    image = torch.full((3, height, width), GROUND, dtype=torch.uint8)
    for pixels, left, top in placed:
        side = pixels.shape[1]
        image[:, top : top + side, left : left + side] = pixels
    return image


def samples() -> list[Sample]:
    """Each object in an image of its own, with its box, beside things that are no object."""
    box = (30.0, 40.0, 30.0 + OBJECT, 40.0 + OBJECT)
    images = [scene((thing(name), 30, 40), (scenery(50 + number, 160), 150, 40)) for number, name in enumerate(NAMES)]
    return [Sample(image, box, name, f"{name}.png#30,40") for image, name in zip(images, NAMES, strict=True)]


def exemplars() -> Exemplars:
    """The three objects, enrolled."""
    return enrol_objects(samples(), describer())


def add_exemplars(parts: Path) -> None:
    """Enrol the three objects in the parts of a release of `tests.support.releases`."""
    spec = NetworkSpec.load(parts)
    stored = Describer(load_network(spec, parts), spec.image_size)
    save_exemplars(parts / EXEMPLARS, enrol_objects(samples(), stored), default_labelling(stored.features), space_id(parts))


def write(folder: Path, rows: Sequence[tuple[str, Tensor, str, str, Box | None]]) -> Manifest:
    """A data set of images (name, image, label, split, box)."""
    for name, image, *_ in rows:
        (folder / name).write_bytes(to_png(image))
    write_manifest(folder, [(name, label, split, box) for name, _, label, split, box in rows])
    return read_manifest(folder)


def shelf(*names: str) -> tuple[Tensor, dict[str, Box]]:
    """Objects side by side, and the box of each."""
    left = {name: 10 + 105 * place for place, name in enumerate(names)}
    image = scene(*((thing(name), left[name], 60) for name in names), width=340)
    return image, {name: (float(left[name]), 60.0, float(left[name] + OBJECT), 60.0 + OBJECT) for name in names}


def shelves(folder: Path, *orders: Sequence[str]) -> Manifest:
    """Images with boxes of test samples, one for each order of names."""
    drawn = enumerate(shelf(*names) for names in orders)
    rows = [(f"{number}.png", image, name, "test", box) for number, (image, boxes) in drawn for name, box in boxes.items()]
    return write(folder, rows)

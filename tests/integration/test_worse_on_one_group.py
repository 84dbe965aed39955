"""A candidate that was made worse on one group alone, whose labels were shuffled in training: the real gate names the group.

Two groups of drawn products. Patterns are grey stripes; colours are patches of random colours round a mean that is the class's.
Only training tells that the mean counts and the patches do not. Champion and candidates are trained, released, evaluated, and
gated against a real registry; the candidate's data are another version than the champion's, so the champion is evaluated again.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from model.claim import claim
from model.config import DataConfig, GateConfig, ServeConfig
from model.data.importing.pinning import pin_dataset
from model.data.manifest import write_manifest
from model.data.versions.diff import diff_data
from model.home import Home
from serving.gating import gate_release
from serving.registry.models import Registry
from tests.support.trained import small_config, train_release

pytestmark = pytest.mark.integration

NAME, SIDE, VIEWS = "drawn", 32, 6
CLASSES = {"val": 4, "train": 20, "test": 14}
GROUPS = ("patterns", "colours")
ROW, COLUMN = np.mgrid[:SIDE, :SIDE]


def draw(group: str, number: int, view: int) -> Image.Image:
    ours, of_class = np.random.default_rng([len(group), number, view]), np.random.default_rng([7, len(group), number])
    if group == "patterns":
        angle, frequency = of_class.uniform(0, np.pi), of_class.uniform(0.2, 1.4)
        wave = np.sin((np.cos(angle) * COLUMN + np.sin(angle) * ROW) * frequency + ours.uniform(0, 6))
        pixels = np.repeat((128 + 60 * wave + of_class.uniform(-60, 60))[..., None], 3, axis=2)
    else:
        patches = ours.normal(0, 20, (8, 8, 3))
        patches -= patches.mean((0, 1))
        pixels = 128 + of_class.uniform(-50, 50, 3) + np.kron(patches, np.ones((4, 4, 1)))
    return Image.fromarray(np.clip(pixels + ours.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8))


def make_products(folder: Path, *, shuffled: str = "") -> Path:
    """Classes of both groups; of one of them the labels are shuffled among the images of each side that is learned from."""
    rows = []
    for group in GROUPS:
        (folder / group).mkdir(parents=True)
        for number, split in enumerate(split for split, count in CLASSES.items() for _ in range(count)):
            for view in range(VIEWS):
                path = f"{group}/{number}-{view}.png"
                draw(group, number, view).save(folder / path)
                rows.append([path, f"{group} {number:02}", split, None])
    for side in ("train", "val"):
        mine = [row for row in rows if row[0].startswith(f"{shuffled}/") and row[2] == side]
        labels = np.random.default_rng(0).permutation([row[1] for row in mine]).tolist()
        for row, label in zip(mine, labels, strict=True):
            row[1] = label
    write_manifest(folder, [tuple(row) for row in rows], [row[0].partition("/")[0] for row in rows])
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A champion, trained on true labels, and the version of the data that it was trained on."""
    root = tmp_path_factory.mktemp("products")
    home = claim(Home.at(root / "home"))
    pin = pin_dataset(make_products(root / "true" / NAME), NAME, home.data, DataConfig(split="manifest")).pin
    release = train_release(home, pin, config(), root / "champion")
    registry = Registry(home.tracking_uri, NAME)
    registry.set_alias(registry.register(release, {}), "champion")
    return SimpleNamespace(home=home, root=root, pin=pin)


def config(**train):
    return small_config(**{"epochs": 0, "init": "method", "folds": 1, "rerank": "never", **train})


def gated(known, pin, settings, out):
    train_release(known.home, pin, settings, out)
    folders = out / "release", out / "report", out / "decision"
    decision = gate_release(pin, GateConfig(), ServeConfig(), *folders, tracking_uri=known.home.tracking_uri, home=known.home)
    return decision, {rule.name: rule for rule in decision.rules}


def test_a_candidate_whose_labels_of_one_group_were_shuffled_is_refused_and_the_group_is_named(known):
    source = make_products(known.root / "shuffled" / NAME, shuffled="colours")
    pin = pin_dataset(source, NAME, known.home.data, DataConfig(split="manifest")).pin
    changed = diff_data(known.home, known.pin, pin)
    assert {change.after.id.partition("/")[0] for change in changed.relabelled} == {"colours"}
    assert (changed.added, changed.removed, changed.moved) == ((), (), ())
    decision, rules = gated(known, pin, config(), known.root / "candidate")
    assert not decision.passed
    rule = rules["max_group_regression"]
    assert not rule.held
    assert rule.text.startswith("The group that changed for the worst, colours (84 queries), is -0.")
    assert rule.text in decision.refused
    assert f"trained on {known.pin.named}" in rule.text  # the champion's own data, which moved since
    assert pin.named != known.pin.named


def test_a_candidate_that_was_trained_on_true_labels_passes_on_every_group(known):
    decision, rules = gated(known, known.pin, config(epochs=4, classes_per_batch=8), known.root / "honest")
    assert rules["max_group_regression"].held, rules["max_group_regression"].text
    assert decision.passed, decision.refused

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from model.detection import stored_exemplars
from model.detection.labelling import default_labelling
from model.detection.stored_exemplars import load_exemplars, save_exemplars
from model.errors import Conflict, InvalidInput
from tests.support.detection import exemplars

SPACE = "s" * 16
LABELLING = default_labelling(("global", "local", "places"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    file = tmp_path_factory.mktemp("stored") / "exemplars.safetensors"
    found = exemplars()
    save_exemplars(file, found, LABELLING, SPACE)
    return file, found


@pytest.fixture
def file(stored, tmp_path):
    copy = tmp_path / "exemplars.safetensors"
    copy.write_bytes(stored[0].read_bytes())
    return copy


def test_exemplars_are_read_as_they_were_written(stored):
    file, written = stored
    found, labelling = load_exemplars(file, space=SPACE)
    assert labelling == LABELLING
    assert found.classes == written.classes
    for name in ("labels", "ids", "sources", "sizes", "outlines", "offsets", "positions", "descriptors", "background"):
        assert np.array_equal(getattr(found, name), getattr(written, name)), name
    assert np.array_equal(found.references.places, written.references.places)
    assert found.references.heads.keys() == written.references.heads.keys()


def test_exemplars_of_another_space_are_refused(file):
    with pytest.raises(Conflict, match="of this embedding space"):
        load_exemplars(file, space="t" * 16)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(file, monkeypatch):
    monkeypatch.setattr(stored_exemplars, "LARGEST", 1000)
    with pytest.raises(InvalidInput, match="larger than"):
        load_exemplars(file, space=SPACE)


def metadata(file):
    with safe_open(file, framework="np") as opened:
        return json.loads(opened.metadata()["exemplars"])


def changed(arrays=lambda known: {}, **stated):
    def change(file):
        known, said = load_file(file), metadata(file)
        known |= arrays(known)
        save_file(
            {name: array for name, array in known.items() if array is not None},
            file,
            metadata={"exemplars": json.dumps(said | stated)},
        )

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b"\x80\x04K\x01."),
        lambda file: save_file(load_file(file), file),
        lambda file: save_file(load_file(file), file, metadata={"exemplars": "no JSON"}),
        lambda file: save_file(load_file(file), file, metadata={"exemplars": "[]"}),
        changed(labelling={}),
        changed(labelling=None),
        changed(ids=["one"]),
        changed(classes=["one"]),
        changed(lambda known: {"labels": None}),
        changed(lambda known: {"labels": known["labels"] - 1}),
        changed(lambda known: {"labels": known["labels"].astype(np.float32)}),
        changed(lambda known: {"offsets": known["offsets"][:-1]}),
        changed(lambda known: {"offsets": known["offsets"] + 1}),
        changed(lambda known: {"sizes": known["sizes"] * 0}),
        changed(lambda known: {"positions": known["positions"][:, :1].copy()}),
        changed(lambda known: {"scales": known["scales"] * np.float32("nan")}),
        changed(lambda known: {"descriptors": known["descriptors"][:-1]}),
        changed(lambda known: {"background": known["background"][:, :3].copy()}),
        changed(lambda known: {"places": known["places"][:1]}),
        changed(lambda known: {"lightness": known["lightness"][:, 1:].copy()}),
        changed(lambda known: {"head.global": known["head.global"][1:]}),
        changed(lambda known: {"axes_mean": known["axes_mean"][1:]}),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(file, damage):
    damage(file)
    with pytest.raises(InvalidInput, match=r"^exemplars\.safetensors does not hold exemplars") as caught:
        load_exemplars(file, space=SPACE)
    assert "\n" not in caught.value.headline

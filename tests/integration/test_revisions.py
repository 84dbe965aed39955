"""Revisions of a data set with the real DVC and git: images added and relabelled, and nothing else changed."""

import pytest

from model.config import DataConfig
from model.data.importing import revising
from model.data.importing.findings import Rejected
from model.data.importing.import_dataset import import_dataset
from model.data.importing.revising import LabelledImage, revise_dataset
from model.data.manifest import MANIFEST, read_manifest
from model.data.versions.fetch import fetch
from model.data.versions.integrity import folder_md5
from model.data.versions.pin import import_record, resolve, versions
from model.errors import Conflict, InvalidInput, NotFound
from model.home import Home
from tests.support.datasets import draw_scene, draw_view, make_dataset

pytestmark = pytest.mark.integration

NAME = "things"


@pytest.fixture
def home(tmp_path):
    """A data set of eight classes with groups and a boxed scene, imported once."""
    home, source = Home(tmp_path / "home"), make_dataset(tmp_path / "source")
    (source / "images" / "scene.png").write_bytes(draw_scene(0, 0))
    table = (source / MANIFEST).read_text().splitlines()
    table = [f"{table[0]},group", *(f"{row},{'odd' if number % 2 else ''}" for number, row in enumerate(table[1:]))]
    table += [f"images/scene.png,class {label},scene,{10 * label},5,{10 * label + 9.5},50," for label in range(2)]
    (source / MANIFEST).write_text("\n".join(table) + "\n")
    import_dataset(source, NAME, home.data, DataConfig(licence="ours"))
    return home


def revise(home, *images):
    return revise_dataset(NAME, images, home.data, home.datasets)


def rows(home):
    """Path, label, split, box and group of every sample of the newest version."""
    manifest = read_manifest(fetch(resolve(home.data, NAME), home.data, home.datasets))
    labels = [manifest.classes[label] for label in manifest.labels]
    keys = [(path, manifest.box(number)) for number, path in enumerate(manifest.paths.tolist())]
    return dict(zip(keys, zip(labels, manifest.splits.tolist(), manifest.groups.tolist(), strict=True), strict=True))


def labelled(tmp_path, data, label, name="new.png"):
    (tmp_path / name).write_bytes(data)
    return LabelledImage(tmp_path / name, label)


def test_a_new_image_joins_its_class_on_its_side_of_the_split_and_all_else_stays(home, tmp_path):
    before = rows(home)
    report = revise(home, labelled(tmp_path, draw_view(6, 50), "class 6"))
    after = rows(home)
    (added,) = after.keys() - before.keys()
    assert added[0].startswith("corrections/")
    assert after[added] == ("class 6", "test", "")
    assert {key: after[key] for key in before} == before
    assert len(versions(home.data, NAME)) == 2
    assert report.pin.licence == "ours"
    record = import_record(home.data, report.pin)
    assert record["source"].endswith("with changes")
    assert report.earlier_source == ""


def test_an_image_that_is_there_is_relabelled_and_takes_the_side_of_its_class(home, tmp_path):
    before = rows(home)
    revise(home, labelled(tmp_path, draw_view(0, 1), "class 7"))
    after = rows(home)
    assert before["images/0/1.png", None][:2] == ("class 0", "train")
    assert after["images/0/1.png", None] == ("class 7", "test", before["images/0/1.png", None][2])
    assert {key for key in before if before[key] != after[key]} == {("images/0/1.png", None)}
    assert after.keys() == before.keys()


def test_fetched_data_are_not_written_to(home, tmp_path):
    pin = resolve(home.data, NAME)
    folder = fetch(pin, home.data, home.datasets)
    revise(home, labelled(tmp_path, draw_view(0, 1), "class 7"))
    assert folder_md5(folder) == pin.md5


def test_a_new_class_needs_as_many_images_as_at_any_import(home, tmp_path):
    images = [labelled(tmp_path, draw_view(50, view), "a new class", f"{view}.png") for view in range(2)]
    with pytest.raises(Rejected, match="1 defect"):
        revise(home, images[0])
    assert len(versions(home.data, NAME)) == 1
    revise(home, *images)
    assert sorted(split for label, split, _ in rows(home).values() if label == "a new class") == ["train", "train"]


def test_corrections_that_change_nothing_or_disagree_are_refused(home, tmp_path):
    with pytest.raises(InvalidInput, match="has its label already"):
        revise(home, labelled(tmp_path, draw_view(0, 1), "class 0"))
    two = [labelled(tmp_path, draw_view(0, 60), f"class {label}", f"{label}.png") for label in range(2)]
    with pytest.raises(Conflict, match="both 'class 0' and 'class 1'"):
        revise(home, *two)
    with pytest.raises(NotFound):
        revise_dataset("nothing", two, home.data, home.datasets)
    assert len(versions(home.data, NAME)) == 1


def test_a_version_that_was_imported_meanwhile_is_not_passed_over(home, tmp_path, monkeypatch):
    fetched = revising.fetch

    def and_then_another(pin, store, datasets):
        folder = fetched(pin, store, datasets)
        import_dataset(make_dataset(tmp_path / "other", views=3), NAME, home.data)
        return folder

    monkeypatch.setattr(revising, "fetch", and_then_another)
    with pytest.raises(Conflict, match="imported meanwhile"):
        revise(home, labelled(tmp_path, draw_view(6, 50), "class 6"))
    assert len(versions(home.data, NAME)) == 2


def test_images_that_are_only_searched_stay_so(tmp_path):
    home = Home(tmp_path / "home")
    source = make_dataset(tmp_path / "source", splits={"distractor": 2})
    import_dataset(source, NAME, home.data, DataConfig(split="gallery"))
    revise(home, labelled(tmp_path, draw_view(9, 9), "one image of another"))
    assert {split for _, split, _ in rows(home).values()} == {"distractor"}


SCENE = "images/scene.png"


def boxed(tmp_path, data, label, box):
    (tmp_path / "boxed.png").write_bytes(data)
    return LabelledImage(tmp_path / "boxed.png", label, box)


def test_a_box_in_a_new_image_is_a_sample_of_its_class_and_the_same_box_is_relabelled(home, tmp_path):
    before, scene = rows(home), draw_scene(3, 3)
    box = (2.0, 3.0, 30.5, 40.0)
    revise(home, boxed(tmp_path, scene, "class 6", box))
    (added,) = rows(home).keys() - before.keys()
    assert (added[1], rows(home)[added]) == (box, ("class 6", "test", ""))
    revise(home, boxed(tmp_path, scene, "class 7", box))
    assert rows(home)[added] == ("class 7", "test", "")
    assert rows(home).keys() == before.keys() | {added}
    revise(home, boxed(tmp_path, scene, "class 6", (35.0, 3.0, 60.0, 40.0)))
    assert {path for path, _ in rows(home).keys() - before.keys()} == {added[0]}  # two boxes of one image


def test_a_box_in_a_scene_of_the_data_relabels_the_object_there_or_adds_one(home, tmp_path):
    before, scene = rows(home), draw_scene(0, 0)
    revise(home, boxed(tmp_path, scene, "class 5", (0.0, 5.0, 9.0, 49.0)))
    changed = {key for key in before if rows(home)[key] != before[key]}
    assert changed == {(SCENE, (0.0, 5.0, 9.5, 50.0))}
    assert rows(home)[SCENE, (0.0, 5.0, 9.5, 50.0)][:2] == ("class 5", "scene")
    revise(home, boxed(tmp_path, scene, "class 3", (30.0, 5.0, 39.0, 49.0)))
    assert rows(home)[SCENE, (30.0, 5.0, 39.0, 49.0)] == ("class 3", "scene", "")

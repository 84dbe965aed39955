"""Where versions come from, over real MLflow and a real data repository; and which versions some data went into."""

import shutil
from types import SimpleNamespace

import pytest

from model.config import DataConfig
from model.data.importing.pinning import pin_dataset
from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.data.versions.integrity import file_md5
from model.errors import InvalidInput, NotFound
from model.gallery_changes import PinnedImages, add_images, remove_images
from model.golden import query_image
from model.home import Home
from model.schemas.gallery import GalleryChange
from serving.data_uses import uses_of_data, uses_of_image
from serving.lineage import lineage_of
from serving.lineage_chart import lineage_chart
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from serving.registry.records import KIND
from serving.registry.runs import Runs
from tests.support.commands import command, glocal, last_line
from tests.support.lineage import NAME, pin_drawn, register_run, release_on
from tests.support.releases import make_release
from tests.support.sources import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Version 1, trained and promoted; 2, with a mug enrolled; 3, with the mug removed; 4, registered without a run."""
    root = tmp_path_factory.mktemp("lineage")
    home = Home(root / "home")
    home.root.mkdir()
    pin = pin_drawn(home, root)
    first = release_on(pin, root / "1")
    assert register_run(home, first, root / "1", "train.epochs=3", "serve.name=drawn") == "1"
    draw(root / "mugs" / "mug" / "1.png", 99)
    mugs = pin_dataset(root / "mugs", "mugs", home.data, DataConfig(split="gallery")).pin
    images = PinnedImages(mugs, fetch(mugs, home.data, home.datasets), file_hashes(mugs, home.data, home.datasets))
    second = add_images(first, images, root / "2", hashes=lambda _: {}, code_revision="0.1+abc").release
    registry, runs = Registry(home.tracking_uri, NAME), Runs(home.tracking_uri)
    run = runs.start_run("drawn gallery add", {"base.version": "1", "gate.level": "0.1"}, {KIND: "enrolment"})
    change = GalleryChange(version="1", release=second.id, images=11, labels=6, added={"mug": 1}, removed={})
    change.save(root / "change" / "change.json")
    runs.log_file(run, root / "change", "gallery")
    registry.register(second, {"map_at_r": 0.4, "base_version": "1"}, run)
    manifest = read_manifest(images.folder)
    third = remove_images(
        second, root / "3", labels=["mug"], image_of=lambda _: query_image(manifest, 0), code_revision="0.1+abc"
    )
    registry.register(third, {"base_version": "2"})
    registry.register(make_release(root / "4", seed=4), {})
    ledger = Ledger(home.tracking_uri, NAME, home.ledger)
    entry = ledger.begin(by="ann", why="better <b>", before="", version="1", release_id=first.id)
    ledger.close(entry, "promoted")
    registry.make_champion("1", None)
    return SimpleNamespace(home=home, uri=home.tracking_uri, pin=pin, mugs=mugs, root=root)


def lineage(known, version):
    return lineage_of(known.home, known.uri, NAME, version)


def used(found):
    return {use.version: (use.data, use.trained, use.tested, use.gallery) for use in found.uses}


def test_a_trained_version_names_its_data_settings_run_figures_decision_and_promotions(known):
    found = lineage(known, "1")
    assert (found.data, found.gallery, found.serves) == (known.pin, (), False)
    assert (found.run.user, found.run.why, found.run.git_commit) == ("ann", "spring", "c" * 40)
    assert {name: (change.before, change.after) for name, change in found.settings.items()} == {
        "train.epochs": ("12", "3"),
        "serve.name": ("", "drawn"),
    }
    assert (found.evaluated, found.figures["map_at_r"].lower) == ("1", 0.3)
    assert [rule.text for rule in found.decision.rules] == ["The release takes 1.0 MB: held."]
    assert [(entry.by, entry.why, entry.outcome) for entry in found.promotions] == [("ann", "better <b>", "promoted")]
    assert found.notes == ()


def test_an_enrolled_version_names_its_base_what_was_added_and_the_figures_of_its_network(known):
    found = lineage(known, "2")
    assert (found.version.base_version, found.change.added) == ("1", {"mug": 1})
    assert (found.data, found.gallery) == (known.pin, (known.pin, known.mugs))
    assert (found.evaluated, found.figures["map_at_r"].value) == ("1", 0.4)
    assert found.settings["gate.level"].after == "0.1"
    assert "base_version" not in found.version.figures
    assert found.decision is None
    assert [note for note in found.notes if "decision.json" in note]


def test_a_version_without_a_run_says_so(known):
    found = lineage(known, "4")
    assert (found.run, found.decision, found.figures) == (None, None, {})
    assert found.notes == ("No run is on record that made drawn version 4.",)
    with pytest.raises(NotFound, match="no version 9 of drawn"):
        lineage(known, "9")


def test_the_chart_names_all_and_nothing_in_it_is_read_as_markup(known):
    chart = lineage_chart(lineage(known, "2"))
    assert chart.startswith("flowchart LR\n")
    assert "drawn version 1" in chart
    assert f"mugs@{known.mugs.rev[:7]}" in chart
    promoted = lineage_chart(lineage(known, "1"))
    assert "better #60;b#62;" in promoted
    assert "gate --> promotion1" in promoted


def test_an_image_is_found_by_its_content_whatever_its_name(known, tmp_path):
    trained = next(row for row in _rows(known.pin, known) if row[2] in {"train", "val"})
    tested = next(row for row in _rows(known.pin, known) if row[2] == "test")
    data = f"{NAME}@{known.pin.rev}"
    for (path, label, split), ways in ((trained, (True, False, True)), (tested, (False, True, True))):
        copy = shutil.copy(fetch(known.pin, known.home.data, known.home.datasets) / path, tmp_path / "x.png")
        found = uses_of_image(known.home, known.uri, copy)
        assert found.asked == file_md5(copy)
        assert used(found)["1"] == (data, *ways)
        assert [(seen.path, seen.label, seen.split) for seen in found.uses[-1].images] == [(path, label, split)]
        assert {"1", "2", "3"} == used(found).keys()


def test_an_enrolled_image_is_in_the_gallery_until_it_is_removed(known):
    found = uses_of_image(known.home, known.uri, known.root / "mugs" / "mug" / "1.png")
    assert used(found) == {"2": (f"mugs@{known.mugs.rev}", False, False, True)}


def test_an_image_that_nothing_saw_is_not_found_and_data_that_are_gone_are_named(known, tmp_path):
    found = uses_of_image(known.home, known.uri, draw(tmp_path / "new.png", 1234))
    assert found.uses == ()
    assert len(found.unread) == 1
    assert found.unread[0].startswith("drawn version 4, drawn@0000000: ")
    with pytest.raises(NotFound, match="There is no file"):
        uses_of_image(known.home, known.uri, tmp_path / "none.png")


def test_a_data_set_and_its_revisions_name_the_versions_that_they_went_into(known):
    def versions(reference):
        return sorted(used(uses_of_data(known.home, known.uri, reference)))

    assert versions(NAME) == ["1", "2", "3", "4"]
    assert versions(f"{NAME}@{known.pin.rev[:7]}") == versions(f"{NAME}@HEAD") == ["1", "2", "3"]
    assert versions("mugs") == ["2"]
    assert versions("cups") == []
    with pytest.raises(InvalidInput, match="cannot be the name of a data set"):
        uses_of_data(known.home, known.uri, "a/b")


def test_the_command_line_says_the_same(known):
    code, out, error = glocal(known.home.root, command("lineage", "1"))
    assert (code, error) == (0, "")
    for said in (known.pin.md5, "by ann  spring", "train.epochs 3  (default 12)", "map_at_r 0.400 [0.300, 0.500]"):
        assert said in out
    code, out, error = glocal(known.home.root, command("lineage", "--data", "mugs", "--json"))
    assert [use["version"] for use in last_line(out)["uses"]] == ["2"]


def _rows(pin, known):
    manifest = read_manifest(fetch(pin, known.home.data, known.home.datasets))
    return [
        (str(path), manifest.classes[label], str(split))
        for path, label, split in zip(manifest.paths, manifest.labels, manifest.splits, strict=True)
    ]

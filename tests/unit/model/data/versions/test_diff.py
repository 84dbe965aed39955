"""Versions of a data set compared, over a real data repository, in lines, as JSON and as a page."""

import json
import shutil
from types import SimpleNamespace

import pytest
from PIL import Image

from model.data import appearance
from model.data.importing.pinning import pin_dataset
from model.data.versions.diff import diff_data
from model.data.versions.fetch import fetch
from model.evaluation.data_changes import save_data_changes
from model.home import Home
from tests.support.commands import command, glocal, last_line
from tests.support.lineage import EIGHT
from tests.support.sources import draw, make_source

pytestmark = pytest.mark.slow


def near_copy(source, out):
    """The same picture in another file: other bytes, other size."""
    Image.open(source).resize((64, 64), Image.Resampling.BICUBIC).save(out)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Three versions of one folder: eight classes, of which ant to dog are learned; some images changed; two new classes."""
    root = tmp_path_factory.mktemp("diff")
    home, source = Home(root / "home"), make_source(root / "drawn", EIGHT, 3)
    home.root.mkdir()
    shutil.copy(source / "gnu" / "0.png", source / "gnu" / "copy.png")
    near_copy(source / "hen" / "0.png", source / "bee" / "old leak.png")

    def pinned():
        return pin_dataset(source, "drawn", home.data).pin

    first = pinned()
    draw(source / "ant" / "new.png", 500)
    near_copy(source / "eel" / "0.png", source / "ant" / "new leak.png")
    (source / "bee" / "2.png").unlink()
    (source / "gnu" / "copy.png").unlink()
    (source / "ant" / "0.png").rename(source / "cat" / "from ant.png")
    (source / "fox" / "0.png").rename(source / "fox" / "renamed.png")
    second = pinned()
    make_source(source, ("aa", "ab"), 2)
    for number, file in enumerate(sorted(source.glob("a[ab]/*.png"))):
        draw(file, 600 + number)
    return SimpleNamespace(home=home, pins=(first, second, pinned()))


@pytest.fixture(scope="module")
def changed(known):
    return diff_data(known.home, *known.pins[:2])


def ids(samples):
    return sorted(sample.id for sample in samples)


def test_images_are_known_by_their_bytes_whatever_their_names(changed):
    assert ids(changed.added) == ["ant/new leak.png", "ant/new.png"]
    assert len(changed.removed) == 2
    assert "bee/2.png" in ids(changed.removed)
    assert [str(change.before) for change in changed.relabelled] == ["ant/0.png (ant, train)"]
    assert [str(change.after) for change in changed.relabelled] == ["cat/from ant.png (cat, train)"]
    assert (changed.samples, changed.renamed) == (24, 2)
    assert (changed.moved, changed.classes_added, changed.classes_removed, changed.classes_moved) == ((), (), (), {})


def test_of_two_copies_one_that_goes_is_removed_and_the_other_one_stays(changed):
    assert {path.partition("/")[0] for path in ids(changed.removed)} == {"bee", "gnu"}


def test_a_near_copy_that_came_across_the_split_is_a_new_leak_and_an_old_one_is_not(changed):
    assert [sorted((leak.one.id, leak.other.id)) for leak in changed.leaks] == [["ant/new leak.png", "eel/0.png"]]
    assert {changed.leaks[0].one.split, changed.leaks[0].other.split} == {"train", "test"}


def test_new_classes_move_others_to_another_side_and_what_a_model_has_seen_is_counted(known):
    found = diff_data(known.home, *known.pins[1:])
    assert found.classes_added == ("aa", "ab")
    assert {name: (sides.before, sides.after) for name, sides in found.classes_moved.items()} == {"dog": ("val", "test")}
    assert found.seen == 3
    assert (found.splits["test"].before.classes, found.splits["test"].after.classes) == (4, 5)
    assert {change.after.id for change in found.moved if change.after.split == "test"} == {"dog/0.png", "dog/1.png", "dog/2.png"}


def test_a_version_and_itself_do_not_differ_and_no_image_is_decoded(known, monkeypatch):
    monkeypatch.setattr(appearance, "appearances_of", None)
    found = diff_data(known.home, known.pins[0], known.pins[0])
    assert (found.same, found.samples, found.renamed, found.leaks, found.seen) == (True, 26, 0, (), 0)


def test_the_page_shows_them_as_images_and_needs_no_other_file(known, changed, tmp_path):
    folders = [fetch(pin, known.home.data, known.home.datasets) for pin in known.pins[:2]]
    save_data_changes(tmp_path / "page.html", changed, *folders)
    page = (tmp_path / "page.html").read_text()
    assert "Added: 2" in page
    assert "ant → cat" in page
    assert "New leaks: 1" in page
    assert page.count("data:image/jpeg;base64,") == 2 + 2 + 1 + 2
    assert "cannot be read" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_names_what_differs_and_writes_the_page(known, tmp_path):
    one, other = (f"drawn@{pin.rev[:10]}" for pin in known.pins[:2])
    code, out, error = glocal(known.home.root, command("data", "diff", one, other, "--save", tmp_path / "page.html"))
    assert code == 0, error
    lines = {line[:12].strip(): line[12:].strip() for line in out.splitlines()}
    assert lines["added"] == "2: ant/new leak.png (ant, train); ant/new.png (ant, train)"
    assert lines["relabelled"] == "1: ant/0.png (ant, train) -> cat/from ant.png (cat, train)"
    assert lines["moved"] == "none"
    assert lines["new leaks"].startswith("1: ")
    assert (tmp_path / "page.html").is_file()
    code, out, error = glocal(known.home.root, command("data", "diff", one, "drawn", "--json"))
    assert code == 0, error
    assert last_line(out)["after"] == known.pins[2].to_json()
    assert json.loads(out)["page"] is None
    assert glocal(known.home.root, command("data", "diff", one, "drawn@fff"))[0] == 3

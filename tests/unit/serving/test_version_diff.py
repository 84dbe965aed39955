"""Two versions side by side, over real MLflow and a real data repository."""

from types import SimpleNamespace

import pytest

from model.config import DataConfig
from model.data.importing.pinning import pin_dataset
from model.errors import Conflict, NotFound
from model.home import Home
from serving.registry.models import Registry
from serving.version_diff import diff_versions, save_queries
from tests.support.commands import command, glocal, last_line
from tests.support.lineage import NAME, pin_drawn, register_run, release_on
from tests.support.releases import make_release
from tests.support.sources import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Versions 1 and 2 of one version of the data, 3 of the next one; 4 has the network of 2; 5 was registered without a run."""
    root = tmp_path_factory.mktemp("diff")
    home = Home(root / "home")
    home.root.mkdir()
    pin = pin_drawn(home, root)
    releases = [release_on(pin, root / str(number), seed=number) for number in (1, 2)]
    register_run(home, releases[0], root / "1", seed=1)
    register_run(home, releases[1], root / "2", "train.epochs=3", seed=2)
    draw(root / NAME / "ant" / "9.png", 999)
    (root / NAME / "bee" / "0.png").unlink()
    draw(root / NAME / "bee" / "9.png", 998)
    later = pin_dataset(root / NAME, NAME, home.data, DataConfig()).pin
    register_run(home, release_on(later, root / "3", seed=3), root / "3")
    registry = Registry(home.tracking_uri, NAME)
    registry.register(release_on(pin, root / "4", seed=4), {"base_version": "2"})
    registry.register(make_release(root / "5", seed=5), {})
    return SimpleNamespace(home=home, uri=home.tracking_uri, root=root, registry=registry)


def diff(known, before, after):
    return diff_versions(known.home, known.uri, NAME, before, after)


def test_versions_of_the_same_data_differ_in_settings_and_queries(known):
    found = diff(known, "1", "2")
    assert {name: (change.before, change.after) for name, change in found.settings.items()} == {"train.epochs": ("12", "3")}
    assert (found.data.before, found.data.added, found.data.removed) == (found.data.after, 0, 0)
    assert (found.figures["map_at_r"].before, found.figures["map_at_r"].after) == (0.4, 0.4)
    assert found.queries.won > 0
    assert found.queries.lost > 0
    assert (found.same_space, found.gallery, found.notes) == (False, None, ())


def test_the_other_way_round_wins_are_losses(known):
    found, back = diff(known, "1", "2").queries, diff(known, "2", "1").queries
    assert (found.won, found.lost) == (back.lost, back.won)


def test_versions_of_other_data_name_what_was_added_and_removed_and_count_no_queries(known):
    found = diff(known, "1", "3")
    assert (found.data.added, found.data.removed) == (2, 1)
    assert found.queries is None
    assert [note for note in found.notes if "are not on the same queries" in note]
    assert found.gallery is not None
    with pytest.raises(Conflict, match="not on the same queries"):
        save(known, "1", "3")
    assert not (known.root / "page.html").exists()


def test_a_version_with_another_gallery_is_compared_by_its_network(known):
    found = diff(known, "2", "4")
    assert (found.settings, found.queries.won, found.queries.lost) == ({}, 0, 0)
    assert diff(known, "1", "4").queries == diff(known, "1", "2").queries


def test_what_is_not_on_record_is_named(known):
    found = diff(known, "1", "5")
    assert (found.settings, found.queries, found.data.added) == ({}, None, None)
    assert len(found.notes) == 2
    with pytest.raises(NotFound, match="no version 9"):
        diff(known, "1", "9")


def test_the_command_line_says_the_same_and_saves_the_page(known, tmp_path):
    page = tmp_path / "page.html"
    code, out, error = glocal(known.home.root, command("diff", "1", "2", "--save", page, "--json"))
    assert (code, error) == (0, "")
    assert last_line(out)["queries"]["won"] == diff(known, "1", "2").queries.won
    assert last_line(out)["page"] == str(page)
    assert "drawn version 1" in page.read_text(encoding="utf-8")


def save(known, before, after):
    versions = (known.registry.version(each) for each in (before, after))
    save_queries(known.home, known.uri, *versions, known.root / "page.html")

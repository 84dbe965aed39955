"""Two sources of one name: the second becomes a version of the first one's data set only knowingly."""

import json

import pytest

from components.version import version
from model.data.importing.import_dataset import import_dataset
from model.data.versions.git_command import git
from model.data.versions.pin import import_record, record_file
from model.errors import InvalidInput
from model.home import Home
from pipelines.cli.failures import show_error
from tests.support.sources import make_source

pytestmark = pytest.mark.integration

ANIMALS, TOOLS = ("ant", "bee", "cat", "dog", "elk"), ("axe", "hoe", "saw", "file", "adze")


@pytest.fixture
def store(tmp_path):
    return Home(tmp_path / "home").data


@pytest.fixture
def photos(tmp_path):
    """A folder of animals."""
    return make_source(tmp_path / "one" / "photos", ANIMALS)


def test_a_source_of_other_things_is_refused_under_a_default_name_and_nothing_changes(tmp_path, store, photos):
    first = import_dataset(photos, None, store).pin
    tools = make_source(tmp_path / "two" / "photos", TOOLS)
    with pytest.raises(InvalidInput, match="The data set photos came from ") as error:
        import_dataset(tools, None, store)
    assert f"came from {photos} and has no class in common with {tools}." in error.value.headline
    assert "Name this one otherwise: --name NAME." in error.value.hint
    assert import_dataset(photos, None, store).pin == first


def test_a_name_that_was_given_takes_other_things_with_a_warning(tmp_path, store, photos):
    import_dataset(photos, None, store)
    report = import_dataset(make_source(tmp_path / "two" / "photos", TOOLS), "photos", store)
    line = f"the data set photos came from {photos} before; with --name photos this is its next version."
    assert (report.messages[0], report.to_json()["earlier_source"]) == (line, str(photos))


def test_another_source_with_a_class_in_common_is_a_version_with_a_warning(tmp_path, store, photos):
    import_dataset(photos, None, store)
    other = make_source(tmp_path / "two" / "photos", ("ant", *TOOLS))
    report = import_dataset(other, None, store)
    line = f"the data set photos came from {photos} before. If this is other data, name it otherwise: --name NAME."
    assert (report.messages[0], report.earlier_source) == (line, str(photos))
    make_source(other, ("ant", *TOOLS, "rake"))
    assert import_dataset(other, None, store).messages == []  # it is the last source now
    assert import_dataset(photos, None, store).earlier_source == str(other)


def test_two_tables_are_two_sources_and_a_link_is_none_of_its_own(tmp_path, store, photos):
    rows = ["file,label", *(f"{name}/{shot}.png,{name}" for name in ANIMALS for shot in (0, 1))]
    (photos / "table.csv").write_text("\n".join(rows))
    (photos / "fewer.csv").write_text("\n".join(rows[:-2]))
    assert import_dataset(photos / "table.csv", None, store).pin.path == "photos"
    report = import_dataset(photos / "fewer.csv", None, store)
    assert (report.pin.path, report.earlier_source) == ("photos", str(photos / "table.csv"))
    (tmp_path / "photos").symlink_to(photos)
    (photos / "fewer.csv").write_text("\n".join(rows))
    assert import_dataset(tmp_path / "photos" / "fewer.csv", None, store).messages == []


def test_the_same_images_elsewhere_are_the_same_version_without_a_word(tmp_path, store, photos):
    first = import_dataset(photos, None, store)
    moved = photos.rename(tmp_path / "photos")
    again = import_dataset(moved, None, store)
    assert (again.unchanged, again.pin, again.messages) == (True, first.pin, [])
    for file in store.remote.rglob("*.dir"):
        file.unlink()  # the version is incomplete, so that it is imported anew
    restored = import_dataset(moved, None, store)
    assert (restored.unchanged, restored.pin) == (False, first.pin)
    assert import_record(store, first.pin)["source"] == str(photos)


def test_a_record_without_a_source_warns_of_nothing(tmp_path, store, photos):
    pin = import_dataset(photos, None, store).pin
    record = import_record(store, pin)
    del record["source"]  # as an earlier release kept it
    (store.repo / record_file("photos")).write_text(json.dumps(record))
    git(store.repo, "commit", "--quiet", "--message=Import photos", "--", record_file("photos"))
    assert import_dataset(photos, None, store).unchanged
    report = import_dataset(make_source(tmp_path / "two" / "photos", TOOLS), None, store)
    assert report.messages == []


def test_the_step_and_the_command_refuse_alike(tmp_path, monkeypatch, photos, capsys):
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    tools = make_source(tmp_path / "two" / "photos", TOOLS)
    pin = version.python_func(source=str(photos), name="", data={})
    with pytest.raises(InvalidInput, match="has no class in common"):
        version.python_func(source=str(tools), name="", data={})
    from pipelines.cli.data import import_

    with pytest.raises(InvalidInput) as error:
        import_(str(tools), "")
    assert show_error(error.value) == 2
    assert "--name NAME" in capsys.readouterr().err
    import_(str(tools), "photos")
    said = capsys.readouterr()
    assert f"Warning: the data set photos came from {photos} before; with --name photos" in said.err
    assert said.out.startswith("photos@")
    assert pin["rev"] not in said.out

"""Several machines with one git repository of data versions: each a home of its own, as pods without a common volume are."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from model.data.importing.import_dataset import import_dataset
from model.data.importing.pinning import pin_dataset
from model.data.versions.fetch import fetch
from model.data.versions.integrity import folder_md5
from model.data.versions.pin import dataset_names, resolve
from model.data.versions.shared import join
from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.home import Home

pytestmark = pytest.mark.integration


def draw(root, seed):
    for number, name in enumerate(("ant", "bee", "cow")):
        for shot in range(2):
            path = root / name / f"{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cells = np.random.default_rng(1000 * seed + 10 * number + shot).integers(0, 255, (5, 5, 3), dtype=np.uint8)
            Image.fromarray(cells).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return root


@pytest.fixture
def shared(tmp_path):
    """Address of an empty git repository."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "shared.git"], check=True)
    return f"file://{tmp_path}/shared.git"


@pytest.fixture
def remote(tmp_path):
    return str(tmp_path / "files")


def store(tmp_path, name):
    return Home.at(tmp_path / name).data


def test_what_one_machine_imports_another_finds_by_its_name_alone_and_downloads(tmp_path, shared, remote):
    one, other = store(tmp_path, "one"), store(tmp_path, "other")
    made = pin_dataset(draw(tmp_path / "zoo", 1), None, one, remote=remote, shared=shared).pin
    found = pin_dataset("zoo", None, other, remote=remote, shared=shared).pin
    assert (found.rev, found.md5, found.repo) == (made.rev, made.md5, shared)
    assert folder_md5(fetch(found, other, tmp_path / "out")) == made.md5


def test_a_pin_is_fetched_where_nothing_is_but_its_own_address(tmp_path, shared, remote):
    join(store(tmp_path, "one"), shared)
    made = pin_dataset(draw(tmp_path / "zoo", 1), None, store(tmp_path, "one"), remote=remote, shared=shared).pin
    pin = resolve(store(tmp_path, "one"), "zoo")
    assert folder_md5(fetch(pin, store(tmp_path, "bare"), tmp_path / "out")) == made.md5


def test_imports_in_turn_on_two_machines_are_one_history(tmp_path, shared, remote):
    one, other = store(tmp_path, "one"), store(tmp_path, "other")
    pin_dataset(draw(tmp_path / "zoo", 1), None, one, remote=remote, shared=shared)
    pin_dataset(draw(tmp_path / "farm", 2), None, other, remote=remote, shared=shared)
    newest = pin_dataset(draw(tmp_path / "zoo", 3), None, other, remote=remote, shared=shared).pin
    assert pin_dataset("zoo", None, one, remote=remote, shared=shared).pin.rev == newest.rev
    assert dataset_names(one) == ["farm", "zoo"]


def test_a_store_that_was_filled_before_it_was_shared_is_what_the_others_get(tmp_path, shared, remote):
    one = store(tmp_path, "one")
    made = import_dataset(draw(tmp_path / "zoo", 1), "zoo", one, remote=remote).pin
    join(one, shared)
    join(store(tmp_path, "other"), shared)
    assert resolve(store(tmp_path, "other"), "zoo").rev == made.rev


def test_two_stores_that_were_filled_apart_are_refused_and_stay_as_they_are(tmp_path, shared, remote):
    one, other = store(tmp_path, "one"), store(tmp_path, "other")
    for each, name in ((one, "zoo"), (other, "farm")):
        import_dataset(draw(tmp_path / name, len(name)), name, each, remote=remote)
    join(one, shared)
    with pytest.raises(Conflict, match="have each versions that the other lacks"):
        join(other, shared)
    assert dataset_names(other) == ["farm"]


def test_names_without_files_are_not_shared(tmp_path, shared):
    with pytest.raises(InvalidInput, match="their files are not") as raised:
        pin_dataset(draw(tmp_path / "zoo", 1), None, store(tmp_path, "one"), shared=shared)
    assert "GLOCAL_DATA_REMOTE" in raised.value.hint


def test_a_repository_of_another_program_is_refused_and_nothing_is_left(tmp_path, shared):
    work = tmp_path / "work"
    subprocess.run(["git", "clone", "--quiet", shared, work], check=True, capture_output=True)
    (work / "README").write_text("mine")
    for command in (
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
        ["push", "-q", "origin", "HEAD"],
    ):
        subprocess.run(["git", "-C", work, *command], check=True, capture_output=True)
    with pytest.raises(InvalidInput, match="not a data repository that Glocal made"):
        join(store(tmp_path, "one"), shared)
    assert not store(tmp_path, "one").repo.exists()
    assert list(store(tmp_path, "one").root.glob(".clone-*")) == []


def test_a_repository_that_is_away_is_an_error_that_may_pass(tmp_path):
    with pytest.raises(Unavailable, match="fetch"):
        join(store(tmp_path, "one"), f"file://{tmp_path}/nothing.git")


def test_a_password_in_the_address_is_in_no_pin_and_in_a_file_of_this_user_alone(tmp_path, shared, remote):
    from model.data.versions.shared import _set_origin

    one = store(tmp_path, "one")
    import_dataset(draw(tmp_path / "zoo", 1), "zoo", one, remote=remote)
    _set_origin(one.repo, "https://ada:secret@git.example.org/data.git")
    assert "secret" not in resolve(one, "zoo").model_dump_json()
    assert (one.repo / ".git" / "config").stat().st_mode & 0o077 == 0


def test_a_name_that_is_no_data_set_is_no_folder_either(tmp_path):
    import_dataset(draw(tmp_path / "zoo", 1), "zoo", store(tmp_path, "one"))
    assert pin_dataset("zoo", None, store(tmp_path, "one")).pin.path == "zoo"
    with pytest.raises((NotFound, InvalidInput), match="farm"):
        pin_dataset("farm", None, store(tmp_path, "one"))

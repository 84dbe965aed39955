"""Data versions with the real DVC and git, and S3 as moto serves it on loopback."""

import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import DataConfig
from model.data.importing import assembling
from model.data.importing import checks as validation
from model.data.importing.findings import Rejected
from model.data.importing.import_dataset import import_dataset
from model.data.manifest import read_manifest
from model.data.versions import repository as versioning
from model.data.versions.fetch import fetch
from model.data.versions.integrity import folder_md5
from model.data.versions.pin import resolve, versions
from model.errors import GlocalError, InvalidInput, NotFound, Unavailable
from model.home import DataStore, Home
from model.schemas.data_pin import DataPin
from pipelines.cli.data import list_

pytestmark = pytest.mark.integration


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(cells).resize((32, 32), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for number, name in enumerate(("ant", "bee", "Käse")):
        for shot in range(2):
            draw(root / name / f"{shot}.png", 10 * number + shot)
    return root


@pytest.fixture
def store(tmp_path: Path) -> DataStore:
    return Home(tmp_path / "home").data


def commits(store: DataStore) -> int:
    return int(subprocess.check_output(["git", "-C", str(store.repo), "rev-list", "--count", "HEAD"]))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def working_tree(store: DataStore) -> list[str]:
    return sorted(path.name for path in store.repo.iterdir())


def test_an_import_is_pinned_fetched_and_leaves_its_source_alone(source, store, tmp_path):
    before = snapshot(source)
    inodes = {path: (path.stat().st_ino, path.stat().st_nlink) for path in source.rglob("*.png")}
    pin = import_dataset(source, "zoo", store).pin
    assert (len(pin.rev), pin.path, pin.files, pin.classes) == (40, "zoo", 7, 3)
    assert DataPin.from_json(pin.to_json()) == pin
    assert resolve(store, "zoo") == resolve(store, f"zoo@{pin.rev}") == resolve(store, "zoo@main") == pin
    folder = fetch(pin, store, tmp_path / "out")
    assert folder.name == pin.md5 == folder_md5(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == pin.bytes
    manifest = read_manifest(folder)
    assert manifest.classes == ("Käse", "ant", "bee")
    assert (folder / str(manifest.paths[0])).is_file()
    assert snapshot(source) == before
    assert {path: (path.stat().st_ino, path.stat().st_nlink) for path in inodes} == inodes


def test_an_unchanged_source_gives_the_same_pin_without_a_commit_or_a_decoded_image(source, store, monkeypatch):
    first = import_dataset(source, "zoo", store)
    monkeypatch.setattr(assembling, "inspect", lambda *_: pytest.fail("an image was decoded"))
    again = import_dataset(source, "zoo", store)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.pin == first.pin
    assert (again.samples, again.classes) == (first.samples, first.classes)
    assert commits(store) == 2


def test_changed_content_or_options_make_a_new_version_and_the_old_one_stays(source, store, tmp_path):
    old = import_dataset(source, "zoo", store).pin
    draw(source / "ant" / "2.png", 50)
    new = import_dataset(source, "zoo", store).pin
    assert (new.files, new.rev == old.rev, new.md5 == old.md5) == (8, False, False)
    assert resolve(store, "zoo") == new
    assert resolve(store, f"zoo@{old.rev[:10]}") == old
    assert len(read_manifest(fetch(old, store, tmp_path / "out"))) == 6
    import_dataset(source, "other", store)
    assert resolve(store, "zoo") == new


def test_the_datas_licence_goes_with_its_pin_and_changes_none_of_its_bytes(source, store):
    silent = import_dataset(source, "zoo", store).pin
    stated = import_dataset(source, "zoo", store, DataConfig(licence="CC BY 4.0")).pin
    (source / "LICENSE").write_text("MIT License\n\nCopyright")
    found = import_dataset(source, "zoo", store).pin
    assert [pin.licence for pin in (silent, stated, found)] == ["", "CC BY 4.0", "MIT License (the file LICENSE)"]
    assert len({pin.rev for pin in (silent, stated, found)}) == 3
    assert silent.md5 == stated.md5 == found.md5
    assert resolve(store, f"zoo@{stated.rev}") == stated


def test_defects_change_nothing_and_are_all_in_the_report(source, store):
    old = import_dataset(source, "zoo", store).pin
    for name in ("a.jpg", "b.jpg"):
        (source / "ant" / name).write_text("no image")
    with pytest.raises(Rejected, match="2 defects: 2 unsupported") as caught:
        import_dataset(source, "zoo", store)
    text = caught.value.report.read_text()
    assert "ant/a.jpg" in text
    assert "ant/b.jpg" in text
    assert str(caught.value.report) in caught.value.hint
    assert resolve(store, "zoo") == old
    assert not store.staging.exists()


class Crash(BaseException):
    """Like a kill: nobody catches it."""


def crash(*_args, **_kwargs):
    raise Crash


def crash_in_git(command: str):
    git = versioning.git
    return lambda repo, *arguments, **options: crash() if arguments[0] == command else git(repo, *arguments, **options)


POINTS = {
    "while images are copied": lambda patch: patch.setattr(validation, "_store", crash),
    "before the manifest": lambda patch: patch.setattr(assembling, "write_manifest", crash),
    "before the add": lambda patch: patch.setattr("dvc.repo.Repo.add", crash),
    "before the push": lambda patch: patch.setattr("dvc.repo.Repo.push", crash),
    "before the record": lambda patch: patch.setattr(versioning, "write_json", crash),
    "before the commit": lambda patch: patch.setattr(versioning, "git", crash_in_git("commit")),
}


@pytest.mark.parametrize("killed", [False, True], ids=["fails", "is killed"])
@pytest.mark.parametrize("point", POINTS)
def test_an_import_that_stops_leaves_the_old_version_and_the_next_one_works(source, store, tmp_path, monkeypatch, point, killed):
    if "base" not in CACHED:
        import_dataset(source, "zoo", store)
        CACHED["base"] = shutil.copytree(store.home.root, tmp_path.parent / "base-home", dirs_exist_ok=True)
    else:
        shutil.copytree(CACHED["base"], store.home.root)
    old = resolve(store, "zoo")
    tree = working_tree(store)
    draw(source / "ant" / "2.png", 50)
    with monkeypatch.context() as patch:
        POINTS[point](patch)
        if killed:  # a killed process restores nothing
            restore = versioning._restore
            calls: list[Path] = []
            patch.setattr(versioning, "_restore", lambda repo: calls.append(repo) or (restore(repo) if len(calls) == 1 else None))
        with pytest.raises(Crash):
            import_dataset(source, "zoo", store)
    assert resolve(store, "zoo") == old
    assert killed or working_tree(store) == tree
    new = import_dataset(source, "zoo", store).pin
    assert new.files == 8
    assert working_tree(store) == tree
    assert len(read_manifest(fetch(new, store, tmp_path / "out"))) == 7
    assert len(read_manifest(fetch(old, store, tmp_path / "out"))) == 6


CACHED: dict[str, Path] = {}


def test_a_failed_push_is_no_version(source, store, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the remote should be a folder")
    with pytest.raises(GlocalError):
        import_dataset(source, "zoo", store, remote=str(blocked))
    with pytest.raises(NotFound):
        resolve(store, "zoo")
    assert import_dataset(source, "zoo", store).pin.files == 7


def test_a_second_import_waits_for_the_first(source, store):
    waits, release, held = threading.Event(), threading.Event(), threading.Event()

    def hold():
        with versioning.writing(store, lambda: None):
            held.set()
            release.wait(30)

    def progress(_done: int, _total: int, what: str) -> None:
        if what == "wait for another import":
            waits.set()
            release.set()

    first = threading.Thread(target=hold)
    first.start()
    assert held.wait(30)
    assert import_dataset(source, "zoo", store, progress=progress).pin.files == 7
    first.join()
    assert waits.is_set()


@pytest.fixture
def pinned(source, store) -> DataPin:
    return import_dataset(source, "zoo", store).pin


def test_a_finished_fetch_is_used_again_and_a_damaged_one_is_made_anew(pinned, store, tmp_path):
    folder = fetch(pinned, store, tmp_path / "out")
    stamp = (folder / "manifest.csv").stat().st_ino
    assert (fetch(pinned, store, tmp_path / "out") / "manifest.csv").stat().st_ino == stamp

    def change():
        (folder / "ant/0.png").write_bytes(b"changed")

    for damage in (change, (folder / "ant/1.png").unlink, (folder / "extra.png").touch):
        damage()
        assert folder_md5(folder) != pinned.md5
        fetch(pinned, store, tmp_path / "out")
        assert folder_md5(folder) == pinned.md5


def test_without_its_cache_the_data_comes_from_the_remote(pinned, store, tmp_path):
    shutil.rmtree(store.repo / ".dvc/cache")
    assert folder_md5(fetch(pinned, store, tmp_path / "out")) == pinned.md5


def test_lost_objects_are_a_clear_error_and_a_new_import_brings_them_back(pinned, source, store, tmp_path):
    shutil.rmtree(store.repo / ".dvc/cache")
    shutil.rmtree(store.remote)
    with pytest.raises(NotFound, match="neither in the cache nor in the remote"):
        fetch(pinned, store, tmp_path / "out")
    assert not (tmp_path / "out" / pinned.md5).exists()
    assert import_dataset(source, "zoo", store).pin == pinned
    assert folder_md5(fetch(pinned, store, tmp_path / "out")) == pinned.md5


def test_one_lost_object_is_a_clear_error(pinned, store, tmp_path):
    shutil.rmtree(store.repo / ".dvc/cache")
    next(path for path in (store.remote).rglob("*") if path.is_file() and path.suffix != ".dir").unlink()
    with pytest.raises(NotFound, match="neither in the cache nor in the remote"):
        fetch(pinned, store, tmp_path / "out")


def test_an_object_that_was_changed_is_noticed(pinned, source, store, tmp_path):
    wanted = (source / "ant/0.png").read_bytes()
    for part in (store.repo / ".dvc/cache", store.remote):
        for path in part.rglob("*"):
            if path.is_file() and path.read_bytes() == wanted:
                path.chmod(0o644)
                path.write_bytes((source / "ant/1.png").read_bytes())
    with pytest.raises((InvalidInput, NotFound)):
        fetch(pinned, store, tmp_path / "out")
    assert not (tmp_path / "out" / pinned.md5).exists()


def test_a_changed_cache_is_healed_from_the_remote(pinned, source, store, tmp_path):
    wanted = (source / "ant/0.png").read_bytes()
    for path in (store.repo / ".dvc/cache").rglob("*"):
        if path.is_file() and path.read_bytes() == wanted:
            path.chmod(0o644)
            path.write_bytes(b"changed")
    assert folder_md5(fetch(pinned, store, tmp_path / "out")) == pinned.md5


def test_a_wrong_md5_or_revision_is_refused(pinned, store, tmp_path):
    with pytest.raises(InvalidInput, match="md5"):
        fetch(pinned.model_copy(update={"md5": "0" * 32}), store, tmp_path / "out")
    with pytest.raises(NotFound, match="revision"):
        fetch(pinned.model_copy(update={"rev": "0" * 40}), store, tmp_path / "out")
    for reference in ("zoo@nothing", "zoo@" + "0" * 40, "other", "other@main"):
        with pytest.raises(NotFound):
            resolve(store, reference)
    with pytest.raises(NotFound, match="Nothing was imported"):
        resolve(Home(tmp_path / "empty").data, "zoo")


def test_another_store_fetches_by_the_pins_own_address(pinned, store, tmp_path):
    elsewhere = Home(tmp_path / "elsewhere").data
    assert folder_md5(fetch(pinned, elsewhere, tmp_path / "out")) == pinned.md5
    as_url = pinned.model_copy(update={"repo": f"file://{store.repo}"})
    shutil.rmtree(tmp_path / "out")
    with pytest.raises((NotFound, Unavailable)):  # a clone does not reach a remote that is a folder beside the original
        fetch(as_url, elsewhere, tmp_path / "out")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a" * 65, "ä", "x.dvc", "a b"])
def test_a_name_that_is_none_is_refused(source, store, name):
    with pytest.raises(InvalidInput):
        import_dataset(source, name, store)


def test_git_hooks_environment_does_not_lead_elsewhere(source, store, tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path / "mine")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "mine/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "mine/.git/index"))
    import_dataset(source, "zoo", store)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert commits(store) == 2


def test_s3_is_a_remote_and_a_source(source, store, tmp_path, bucket):
    for path in source.rglob("*.png"):
        bucket.upload_file(str(path), "images", f"raw/{path.relative_to(source)}")
    pin = import_dataset("s3://images/raw", "zoo", store, remote="s3://images/dvc").pin
    stored = bucket.list_objects_v2(Bucket="images", Prefix="dvc/")["Contents"]
    assert len(stored) == 8
    assert import_dataset("s3://images/raw", "zoo", store, remote="s3://images/dvc").unchanged
    shutil.rmtree(store.repo / ".dvc/cache")
    assert folder_md5(fetch(pin, store, tmp_path / "out")) == pin.md5
    as_url = pin.model_copy(update={"repo": f"file://{store.repo}"})
    assert folder_md5(fetch(as_url, Home(tmp_path / "elsewhere").data, tmp_path / "other")) == pin.md5
    assert not (store.remote).exists()
    with pytest.raises(NotFound):
        import_dataset("s3://nothing/raw", "zoo", store)
    with pytest.raises(NotFound):
        import_dataset("s3://images/elsewhere", "zoo", store)
    assert not (store.staging).exists()


def test_every_version_of_a_data_set_is_listed_newest_first(source, store, monkeypatch, capsys):
    first = import_dataset(source, "zoo", store).pin
    import_dataset(source, "farm", store)
    draw(source / "ant" / "new.png", 90)
    second = import_dataset(source, "zoo", store).pin
    assert [pin for _, pin in versions(store, "zoo")] == [second, first]
    with pytest.raises(NotFound, match="There is no data set park"):
        versions(store, "park")
    with pytest.raises(NotFound) as error:
        resolve(store, "zoo@abcdef")
    assert error.value.hint == "glocal data list zoo shows its revisions."
    monkeypatch.setenv("GLOCAL_HOME", str(store.home.root))
    list_("zoo")
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", line) for line in lines] == [
        f"zoo@{second.rev}  TIME  7 images, 3 classes",
        f"zoo@{first.rev}  TIME  6 images, 3 classes",
    ]
    list_("zoo", as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [row.pop("imported_at")[-6:] for row in listed] == ["+00:00", "+00:00"]
    assert listed == [second.to_json() | {"images": 7}, first.to_json() | {"images": 6}]


def test_one_version_of_a_data_set_is_shown_by_its_revision(source, store):
    first = import_dataset(source, "zoo", store).pin
    draw(source / "ant" / "new.png", 90)
    second = import_dataset(source, "zoo", store).pin
    farm = import_dataset(source, "farm", store).pin
    assert [pin for _, pin in versions(store, f"zoo@{first.rev[:7]}")] == [first]
    assert [pin for _, pin in versions(store, f"zoo@{farm.rev}")] == [second]  # the version that was there at that commit
    assert [moment for moment, _ in versions(store, f"zoo@{second.rev}")] == [versions(store, "zoo")[0][0]]
    for reference in ("zoo@abcdef", f"farm@{first.rev}"):
        with pytest.raises(NotFound):
            versions(store, reference)

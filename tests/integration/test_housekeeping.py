"""`glocal gc` in a real home: registry, ledger, data versions, a server's records. Nothing that is needed is removed."""

import json
import os
import shutil
import time

import pytest
from mlflow import MlflowClient

from model.claim import claim
from model.data.importing.import_dataset import import_dataset
from model.data.versions.fetch import fetch
from model.errors import Conflict, InvalidInput, NotFound
from model.files import write_json
from model.home import ALIVE, Home
from model.locks import hold
from model.release import open_release, seal_release, space_id
from model.retrieval.galleries import milvus
from model.retrieval.galleries.stored import load_gallery
from model.schemas.challenge import Challenge
from model.schemas.gallery_record import IndexPlan
from serving.archive import build_archive
from serving.deployment import serving_place
from serving.housekeeping import find_garbage, remove_garbage
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from serving.registry.stored import release_in
from serving.rollout.challengers import DeployedChallenger, write_challenger
from serving.rollout.deployed import record_of, write_deployed
from tests.support.commands import command, glocal, last_line
from tests.support.releases import make_parts, make_release, reseal
from tests.support.sources import make_source

pytestmark = pytest.mark.integration

NAME, DAYS = "drawn", 90
OLD = time.time() - 200 * 86_400


def age(path):
    """Make a file or folder as old as if nobody had used it for 200 days."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (OLD, OLD))
    return path


def folder(path, **files):
    """An old folder with files."""
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    return age(path)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return [make_release(root / str(seed), seed=seed) for seed in range(6)]


@pytest.fixture
def home(tmp_path, releases, monkeypatch):
    """Versions 1 to 6, registered long ago: 1 previous, 2 champion, 3 named by the ledger, 4 unneeded, 5 tried, 6 unneeded."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    home = claim(Home(tmp_path / "home"))
    registry = Registry(home.tracking_uri, NAME)
    for release in releases:
        registry.register(release, {}, f"run {release.id}")
    _register_long_ago(home)
    ledger = Ledger(home.tracking_uri, NAME, home.ledger)
    entry = ledger.begin(by="ann", why="t", before="3", version="2", release_id=releases[1].id, place=serving_place(home))
    ledger.close(entry, "promoted")
    registry.make_champion("1", None)
    registry.make_champion("2", "1")
    served, previous, tried = (_record(home, releases[number - 1], str(number)) for number in (2, 1, 5))
    write_deployed(home.serve.deployed, NAME, served.model_copy(update={"previous": previous.archive}))
    challenge = Challenge(mode="shadow", share=0.1, started="2026-01-01T00:00:00Z")
    write_challenger(home.serve.challengers, NAME, DeployedChallenger(**tried.model_dump(), challenge=challenge))
    return home


def _register_long_ago(home):
    """Set the time of registration back, as nothing in MLflow's interface does."""
    import sqlite3

    with sqlite3.connect(home.root / "mlflow.db") as database:
        database.execute("UPDATE model_versions SET creation_time = ?", (round(1000 * OLD),))


def _record(home, release, version):
    archive = build_archive(release, home.serve.store, name=NAME, version=version, wrapping={})
    return record_of(archive, release.manifest, version, 1)


def found(home, days=DAYS):
    """Kind and name of all garbage."""
    return {(item.kind, item.name) for item in find_garbage(home, home.tracking_uri, days=days).items}


def remove(home, days=DAYS):
    garbage = find_garbage(home, home.tracking_uri, days=days)
    return {(item.kind, item.name) for item in remove_garbage(garbage, home, home.tracking_uri, days=days).items}


def test_versions_that_nothing_names_lose_their_files_and_the_others_stay(home, releases, tmp_path):
    registry = Registry(home.tracking_uri, NAME)
    assert found(home) == remove(home) == {("versions", f"{NAME} 4"), ("versions", f"{NAME} 6")}
    assert found(home) == set()
    for version in ("1", "2", "3", "5"):
        assert registry.files.fetch(version, tmp_path / version).id == releases[int(version) - 1].id
    with pytest.raises(NotFound):
        registry.files.fetch("4", tmp_path / "4")
    assert [each.version for each in registry.versions() if each.removed] == ["6", "4"]
    assert registry.version("4").release == releases[3].id


def test_a_removed_version_comes_back_with_its_number_when_it_is_registered_again(home, releases, tmp_path):
    remove(home)
    registry = Registry(home.tracking_uri, NAME)
    assert registry.register(releases[3], {}) == "4"
    assert registry.files.fetch("4", tmp_path / "4").id == releases[3].id
    assert not registry.version("4").removed


def test_what_is_young_stays_and_no_days_at_all_remove_no_more_than_what_is_not_needed(home):
    assert found(home, days=365) == set()
    assert found(home, days=0) == {("versions", f"{NAME} {version}") for version in "346"}  # the ledger's entry is of before


def test_archives_that_no_record_names_go_and_those_of_lost_records_stay(home, releases):
    _record(home, releases[3], "4")
    build_archive(releases[3], home.serve.store, name="lost", version="1", wrapping={})
    assert remove(home) >= {("archives", f"{NAME} 4")}
    stored = {file.name for file in home.serve.store.glob("*.mar*")}
    assert stored == {f"{each}.mar{end}" for each in (f"{NAME}-1", f"{NAME}-2", f"{NAME}-5", "lost-1") for end in ("", ".sha256")}
    home.serve.deployed.write_text("{")
    with pytest.raises(InvalidInput, match="is damaged"):
        find_garbage(home, home.tracking_uri, days=0)


@pytest.fixture
def in_milvus(home, tmp_path, monkeypatch):
    """Makes releases whose galleries lie in Milvus: the collection of each, and the release."""
    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    monkeypatch.setenv("GLOCAL_MILVUS_URI", str(tmp_path / "milvus.db"))

    def make(seed):
        parts = make_parts(tmp_path / f"parts {seed}", seed=seed)
        gallery = load_gallery(parts / "gallery", space_id(parts))
        record = gallery.save(parts / "gallery", space_id(parts), IndexPlan("milvus", min_recall=0.1))
        return record.index.collection, reseal(parts, tmp_path / f"release {seed}")

    return make


def test_a_collection_in_milvus_goes_with_the_last_release_that_names_it(home, in_milvus, monkeypatch):
    (kept, first), (gone, second), (packed, third), (leaked, _) = (in_milvus(seed) for seed in range(20, 24))
    registry = Registry(home.tracking_uri, NAME)
    registry.make_challenger(registry.register(first, {}))
    registry.register(second, {})
    build_archive(third, home.serve.store, name="lost", version="1", wrapping={})
    _register_long_ago(home)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GLOCAL_TRACKING_URI", "http://another.registry")
        foreign, _ = in_milvus(25)
    assert {name for kind, name in found(home) if kind == "collections"} == {gone, leaked}
    with monkeypatch.context() as deaf:
        deaf.setenv("GLOCAL_MILVUS_URI", "http://127.0.0.1:9")
        garbage = find_garbage(home, home.tracking_uri, days=DAYS)
        assert "collections" not in {item.kind for item in garbage.items}
        assert "Collections in Milvus stay" in " ".join(garbage.stays)
    record = folder(home.artifacts / "run" / "release" / "gallery", gallery_json="{") / "gallery.json"
    os.utime(record)  # used since, and damaged: it may name any
    assert not {name for kind, name in found(home) if kind == "collections"}
    record.unlink()
    assert remove(home) >= {("collections", gone), ("collections", leaked), ("versions", f"{NAME} 8")}
    assert set(milvus.connect().list_collections()) == {kept, packed, foreign}
    assert len(registry_release(home, "7").gallery) > 0
    assert found(home) == set()


def registry_release(home, version):
    return open_release(release_in(Registry(home.tracking_uri, NAME).files.folder(version)))


def test_old_runs_artifacts_caches_and_leftovers_go(home, releases):
    kept_run = folder(home.runs / "kept", result_json=json.dumps({"run_id": f"run {releases[1].id}"}))
    folder(home.runs / "ended", result_json='{"run_id": "x"}', alive="", run_log="it ended")
    killed = folder(home.runs / "killed", run_json='{"run_id": "y"}')
    for name, release in (("unneeded", releases[3]), ("needed", releases[1])):
        shutil.copytree(release.folder, home.artifacts / name / "index" / "release")
        age(home.artifacts / name)
        uri = {"release": {"uri": str(home.artifacts / name / "index" / "release")}}
        write_json(home.step_cache / "revision" / f"{name}.json", uri)
        write_json(home.step_cache / "revision" / f"{name}.seal", {})
    folder(home.work / "features" / "aaa", deep_npy="0")
    young = folder(home.work / "features" / "bbb")
    (young / "deep.npy").write_text("0")
    folder(home.work / "images" / "ccc")
    locked = folder(home.work / "images" / "ddd")
    folder(home.work / "training" / "fff", lock="", last="0")
    folder(home.work / "training" / ".eee.removed", last="0")
    assert found(home) == found(home)  # a look does not make it young
    with hold(home.work / "images" / "ddd.lock"):
        gone = remove(home) - {("versions", f"{NAME} 4"), ("versions", f"{NAME} 6")}
    caches = {("work", "aaa"), ("work", "ccc"), ("work", "fff"), ("scratch", ".eee.removed")}
    cached = {("artifacts", "unneeded.json"), ("artifacts", "unneeded.seal")}
    assert gone == {("runs", "ended"), ("artifacts", "unneeded"), *cached, *caches}
    assert all(each.is_dir() for each in (kept_run, killed, young, locked, home.artifacts / "needed"))
    assert sorted(file.name for file in home.step_cache.glob("*/*")) == ["needed.json", "needed.seal"]
    assert not list(home.root.rglob("*.removed"))


def test_while_a_run_or_an_import_is_under_way_what_it_may_use_stays(home):
    folder(home.work / "features" / "aaa")
    folder(home.runs / "ended", result_json="{}")
    seen = find_garbage(home, home.tracking_uri, days=DAYS)
    with hold(home.runs / "live" / ALIVE):
        assert found(home) == set()
        assert not remove_garbage(seen, home, home.tracking_uri, days=DAYS).items  # it began after the look
        assert "A run is under way" in find_garbage(home, home.tracking_uri, days=DAYS).stays[0]
    with hold(home.data.lock):
        assert ("work", "aaa") not in found(home)
    with hold(home.work / "training" / "x" / "lock"):
        assert ("work", "aaa") not in found(home)
    with hold(home.serve.deploy_lock), pytest.raises(Conflict, match="Another deployment is under way"):
        remove(home)
    assert {("work", "aaa"), ("runs", "ended")} <= remove(home)


def test_fetched_data_go_if_they_can_be_fetched_again_and_no_kept_version_is_of_them(home, tmp_path):
    sources = {name: make_source(tmp_path / name, shots=shots) for name, shots in (("a", 2), ("b", 3))}
    pins = [import_dataset(source, name, home.data).pin for name, source in sources.items()]
    folders = [age(fetch(pin, home.data, home.datasets)) for pin in pins]
    stranger = folder(home.datasets / ("e" * 32), photo_png="not ours")
    release = seal_release(make_parts(tmp_path / "parts", seed=9), tmp_path / "of_b", pin=pins[1], code_revision="test")
    registry = Registry(home.tracking_uri, NAME)
    registry.set_alias(registry.register(release, {}), "challenger")
    name = f"a@{pins[0].rev[:7]}"
    assert {each for each in remove(home) if each[0] == "datasets"} == {("datasets", name)}
    assert [folders[0].exists(), folders[1].exists(), stranger.exists()] == [False, True, True]
    assert fetch(pins[0], home.data, home.datasets) == folders[0]
    age(folders[0])
    shutil.rmtree(home.data.remote)  # now it may be the only copy
    assert ("datasets", name) not in found(home)


def test_the_command_shows_asks_and_removes(home):
    code, out, error = glocal(home.root, command("gc", "--dry-run"))
    assert (code, out) == (0, "nothing was changed\n")
    assert error.split()[:2] == ["versions", "2"]
    code, _, error = glocal(home.root, command("gc"))
    assert (code, "Nobody can be asked here." in error) == (2, True)
    code, out, _ = glocal(home.root, command("gc", "--yes", "--json"))
    told = last_line(out)
    assert (code, told["changed"]) == (0, True)
    assert {item["name"] for item in told["garbage"]["items"]} == {f"{NAME} 4", f"{NAME} 6"}
    assert told["bytes"] > 0
    code, out, error = glocal(home.root, command("gc", "--yes"))
    assert (code, out, error) == (0, "nothing was changed\n", "There is nothing to remove.\n")
    assert "files removed" in glocal(home.root, command("models"))[1]


def test_a_registry_that_others_share_keeps_its_versions(home, tmp_path):
    other = Home(tmp_path / "other")
    other.root.mkdir()
    garbage = find_garbage(other, home.tracking_uri, days=DAYS)
    assert (garbage.items, garbage.stays) == ((), ("Registered versions stay: the registry is not this home's own.",))
    assert len(MlflowClient(home.tracking_uri).search_model_versions(f"name = '{NAME}'")) == 6


def test_a_home_without_records_has_no_garbage_and_no_database_is_made(tmp_path):
    home = Home(tmp_path / "home")
    assert find_garbage(home, home.tracking_uri, days=0).items == ()
    assert not home.root.exists()

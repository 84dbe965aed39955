"""Lost or damaged records, archives and databases beside a real TorchServe: what serves stays, and is on record again."""

import os
import re
import shutil

import pytest
from mlflow import MlflowClient

from model.errors import StorageFailed, Unavailable
from model.files import read_json
from serving import backends, server
from serving import reconcile as reconciliation
from serving.client import choose_model
from serving.reconcile import server_status, start_server
from serving.registry.models import Registry
from serving.rollout.endpoint import connect
from tests.support.promotions import answers, assert_one_truth, make_release_of, register, said, to
from tests.support.tiers import usual

pytestmark = pytest.mark.integration

NAME = "drawn"


@pytest.fixture
def lost_database(home):
    """Moves the database away for the test."""
    file = home.root / "mlflow.db"

    def lose():
        file.rename(home.root / "kept.db")

    yield lose
    if (home.root / "kept.db").exists():
        (home.root / "kept.db").replace(file)


def worker(home):
    """Process of the worker that serves: it changes if the version was taken offline."""
    return server.status(home).models[NAME].versions[0].workers[0].pid


def remove(file):
    file.unlink()


def forget(file):
    file.write_text("{}")


def replace_by_folder(file):
    file.unlink()
    file.mkdir()
    (file / "mine.txt").write_text("mine")


def replace_by_dangling_link(file):
    file.unlink()
    file.symlink_to(file.parent / "nowhere")


def empty(file):
    file.write_bytes(b"")


def change_a_byte(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


LOSSES = [remove, forget, empty, replace_by_folder, replace_by_dangling_link]


@pytest.mark.parametrize("lose", usual(LOSSES, remove, empty))
@pytest.mark.parametrize("look", [start_server, server_status])
def test_a_lost_record_is_made_again_and_the_version_stays_online(home, releases, first, lose, look):
    pid = worker(home)
    lose(home.serve.deployed)
    found = look(home, home.tracking_uri)
    assert "drawn: deployed.json did not name version 1, which was deployed. It is on record again." in said(found.differences)
    assert "glocal serve start makes it again" not in said(found.differences)  # it was made again
    assert (found.fault, worker(home)) == (None, pid)
    assert_one_truth(home, NAME, "1", releases[0])


@pytest.mark.parametrize("lose", usual(LOSSES, replace_by_folder))
def test_a_lost_record_of_a_stopped_server_is_made_again(home, releases, first, lose):
    server.stop(home)
    lose(home.serve.deployed)
    assert start_server(home, home.tracking_uri).fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_with_the_record_lost_and_the_alias_moved_the_old_version_serves_until_the_new_one_has_answered(
    home, registry, releases, first
):
    home.serve.deployed.unlink()
    registry.set_alias("2", "champion")
    found = said(start_server(home, home.tracking_uri).differences)
    assert "did not name version 1" in found
    assert "Version 1 serves, and the alias champion points at version 2. Version 2 answered its golden queries" in found
    assert_one_truth(home, NAME, "2", releases[1])


def test_with_record_and_archive_lost_the_version_stays_online(home, releases, first):
    pid = worker(home)
    home.serve.deployed.unlink()
    shutil.rmtree(home.serve.store)
    home.serve.store.mkdir()
    assert "did not name version 1" in said(start_server(home, home.tracking_uri).differences)
    assert worker(home) == pid
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_version_that_was_deleted_from_the_registry_serves_on_without_its_record(home, tmp_path):
    release = make_release_of("fleeting", tmp_path)
    register(release, home, tmp_path / "report")
    to(home, "1", "fleeting")
    MlflowClient(home.tracking_uri).delete_model_version("fleeting", "1")
    home.serve.deployed.unlink()
    assert "fleeting: deployed.json did not name version 1" in said(start_server(home, home.tracking_uri).differences)
    assert answers(home, "fleeting") == ("1", release.id)


def test_a_version_whose_deployment_did_not_succeed_is_not_put_on_record(home, registry, releases, first):
    to(home, "2", NAME)
    model = reconciliation.ModelRecords.open(home, home.tracking_uri, NAME)
    entry = model.ledger.begin(by="ann", why="w", before="1", version="2", release_id=releases[1].id)
    model.ledger.close(entry, "failed")
    home.serve.deployed.unlink()
    assert "did not name version 2" not in said(server_status(home, home.tracking_uri).differences)
    start_server(home, home.tracking_uri)  # the alias is a wish: it is deployed with its golden queries
    assert_one_truth(home, NAME, "2", releases[1])


@pytest.mark.parametrize("lose", usual([remove, empty, replace_by_folder], remove))
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_nothing_is_removed_while_the_registry_cannot_be_read(home, releases, first, lost_database, lose, running):
    if not running:
        server.stop(home)
    lost_database()
    lose(home.serve.deployed)
    stored = sorted(home.serve.store.iterdir())
    found = start_server(home, home.tracking_uri)
    assert isinstance(found.fault, StorageFailed)
    assert found.fault.headline.startswith(f"{home.root / 'mlflow.db'} is missing")
    assert "Stored, but not on record: drawn" in found.fault.headline
    assert found.fault.hint.startswith("Restore it from a backup. Without one: glocal serve stop, then move ")
    assert found.fault.hint.endswith("puts on record again what was deployed. Nothing was removed.")
    assert "makes it again" not in said(server_status(home, home.tracking_uri).differences)  # it cannot yet
    if not running:
        with pytest.raises(Unavailable) as asked:
            choose_model(server.status(home), "")
        assert re.search(r"Stored, but not served: drawn.*\. glocal serve start brings back", asked.value.hint)
        assert "glocal run" not in asked.value.hint
    assert sorted(home.serve.store.iterdir()) == stored
    assert not (home.root / "mlflow.db").exists()
    if running:
        assert answers(home, NAME) == ("1", releases[0].id)
    (home.root / "kept.db").replace(home.root / "mlflow.db")
    assert start_server(home, home.tracking_uri).fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_stopped_server_whose_record_is_lost_says_what_is_missing_while_a_remote_registry_does_not_answer(
    home, releases, first, monkeypatch
):
    server.stop(home)
    home.serve.deployed.unlink()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = start_server(home, "http://127.0.0.1:9")
    assert isinstance(found.fault, StorageFailed)
    assert "Stored, but not on record: drawn" in found.fault.headline
    assert "glocal serve start puts on record again what was deployed" in found.fault.hint
    assert start_server(home, home.tracking_uri).fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_what_is_on_record_is_brought_back_while_the_registry_cannot_be_read(home, releases, first, lost_database):
    server.stop(home)
    lost_database()
    stray = home.serve.store / "drawn-9.mar"
    stray.write_text("x")
    assert isinstance(start_server(home, home.tracking_uri).fault, StorageFailed)
    assert answers(home, NAME) == ("1", releases[0].id)
    assert stray.exists()


def test_status_makes_no_database(home, releases, first, lost_database):
    lost_database()
    assert "is missing, and files of the runs" in server_status(home, home.tracking_uri).fault.headline
    assert not (home.root / "mlflow.db").exists()


@pytest.mark.parametrize(
    "damage",
    usual([change_a_byte, empty, remove, replace_by_folder, replace_by_dangling_link], change_a_byte, remove),
)
def test_an_archive_that_was_damaged_while_the_server_was_stopped_is_packed_again(home, releases, first, damage):
    server.stop(home)
    damage(home.serve.store / "drawn-1.mar")
    found = start_server(home, home.tracking_uri)
    assert "It was packed again from the registry, and version 1 serves." in said(found.differences)
    assert found.fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_an_archive_whose_hash_is_a_folder_is_packed_again(home, releases, first):
    server.stop(home)
    replace_by_folder(home.serve.store / "drawn-1.mar.sha256")
    assert start_server(home, home.tracking_uri).fault is None
    assert_one_truth(home, NAME, "1", releases[0])


def test_an_archive_that_cannot_be_packed_again_without_the_database_needs_the_database(home, releases, first, lost_database):
    server.stop(home)
    good = (home.serve.store / "drawn-1.mar").read_bytes()
    change_a_byte(home.serve.store / "drawn-1.mar")
    lost_database()
    found = start_server(home, home.tracking_uri)
    assert "drawn" in found.missing
    assert "The archive drawn-1.mar was changed." in said(found.differences)
    assert "mlflow.db is missing" in said(found.differences)
    assert "glocal run" not in said(found.differences)
    assert found.fault.headline.startswith(f"On record, but not served: drawn. {home.root / 'mlflow.db'} is missing")
    assert found.fault.hint.startswith("Restore it from a backup.")
    assert found.fault.exit_code == 1
    (home.serve.store / "drawn-1.mar").write_bytes(good)


def test_a_state_file_that_is_a_folder_is_set_aside(home, releases, first):
    pid = server.status(home).pid
    replace_by_folder(home.serve.state)
    started = start_server(home, home.tracking_uri)
    assert "state.json is damaged" in said(started.differences)
    assert (started.pid, read_json(home.serve.state)["pid"]) == (pid, pid)
    assert (home.serve.root / "state.json.damaged" / "mine.txt").read_text() == "mine"
    shutil.rmtree(home.serve.root / "state.json.damaged")


def test_status_says_which_version_is_loaded_beside_the_one_on_record(home, releases, first):
    before = home.serve.deployed.read_bytes()
    archive = shutil.copy(home.serve.store / "drawn-1.mar", home.root / "kept.mar")
    hashed = shutil.copy(home.serve.store / "drawn-1.mar.sha256", home.root / "kept.mar.sha256")
    to(home, "2", NAME)
    home.serve.deployed.write_bytes(before)
    os.replace(archive, home.serve.store / "drawn-1.mar")
    os.replace(hashed, home.serve.store / "drawn-1.mar.sha256")
    Registry(home.tracking_uri, NAME).make_champion("1", None)
    found = server_status(home, home.tracking_uri)
    assert "The server holds version 2, which is not on record. glocal serve start removes it and frees its memory." in said(
        found.differences
    )
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])
    assert "The server holds" not in said(server_status(home, home.tracking_uri).differences)


def test_a_user_who_may_not_write_sees_the_status_and_changes_nothing(home, releases, first, monkeypatch):
    registry = Registry(home.tracking_uri, NAME)
    registry.set_alias("2", "champion")
    before = {file: file.lstat().st_mtime_ns for file in home.serve.root.iterdir()}
    monkeypatch.setattr(reconciliation, "may_hold", lambda _file: False)
    found = server_status(home, home.tracking_uri)
    assert (found.state, found.fault) == ("serving", None)
    assert said(found.differences) == (
        f"{home.root} may not be written to by this user. The records were not compared with the registry."
    )
    assert {file: file.lstat().st_mtime_ns for file in home.serve.root.iterdir()} == before
    registry.set_alias("1", "champion")


def test_previous_never_is_the_champion(home, registry, releases, first):
    to(home, "2", NAME)
    registry.set_alias("2", "previous")
    assert "The alias previous was removed." in said(server_status(home, home.tracking_uri).differences)
    assert (registry.alias("champion"), registry.alias("previous")) == ("2", None)
    with connect(home.serve, backends.running(home.serve)) as endpoint:
        assert endpoint.loaded(NAME) == ["2"]


def test_previous_is_dropped_if_the_version_that_served_was_deleted(home, tmp_path):
    for number in (1, 2):
        release = make_release_of("passing", tmp_path / str(number), seed=number)
        register(release, home, tmp_path / f"report{number}")
        to(home, str(number), "passing")
    registry = Registry(home.tracking_uri, "passing")
    assert registry.alias("previous") == "1"
    MlflowClient(home.tracking_uri).delete_model_version("passing", "2")
    registry.set_alias("1", "champion")
    start_server(home, home.tracking_uri)
    assert answers(home, "passing")[0] == "1"
    assert (registry.alias("champion"), registry.alias("previous")) == ("1", None)

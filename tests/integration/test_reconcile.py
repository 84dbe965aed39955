"""A real registry and a real TorchServe whose records differ, by whomever. One server for the whole file."""

import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from mlflow import MlflowClient

from model.config import ServeConfig
from model.errors import Conflict, InvalidInput
from model.files import read_json, write_json
from model.release import open_release
from serving import backends, deployment, server
from serving.backends.torchserve.discovery import server_pids
from serving.processes import wait_until
from serving.promotion import register_release
from serving.reconcile import reconcile, server_status, start_server
from serving.rollout.endpoint import connect
from tests.support.promotions import (
    answers,
    assert_one_truth,
    make_release_of,
    register,
    said,
    to,
    write_evidence,
)
from tests.support.records import promotions

pytestmark = pytest.mark.integration

NAME = "drawn"


def test_an_alias_that_was_moved_by_hand_is_deployed_at_the_next_start(home, registry, releases, first):
    registry.set_alias("2", "champion")
    looked = server_status(home, home.tracking_uri)
    assert said(looked.differences) == (
        "drawn: Version 1 serves, and the alias champion points at version 2. It will be deployed by glocal serve start."
    )
    assert answers(home, NAME)[0] == "1"  # looking changes nothing
    started = start_server(home, home.tracking_uri)
    assert "Version 2 answered its golden queries and serves." in said(started.differences)
    assert_one_truth(home, NAME, "2", releases[1])
    assert registry.alias("previous") == "1"
    entry = promotions(home.tracking_uri, NAME)[0]
    assert (entry["from"], entry["to"], entry["outcome"]) == ("1", "2", "promoted")
    assert "moved from 1 to 2 in the registry" in entry["why"]


def test_an_alias_that_was_moved_to_what_does_not_verify_goes_back(home, registry, releases, first):
    registry.set_alias("3", "champion")
    found = said(reconcile(home, home.tracking_uri))  # as before a gate
    assert "could not be deployed" in found
    assert "golden query" in found
    assert "The alias points at version 1 again." in found
    assert_one_truth(home, NAME, "1", releases[0])
    assert promotions(home.tracking_uri, NAME)[0]["outcome"] == "failed"


def test_an_alias_that_was_moved_to_a_damaged_release_goes_back_and_the_ledger_says_why(home, registry, releases, first):
    stored = (home.root / "mlartifacts").rglob("weights.safetensors")
    (weights,) = [file for file in stored if open_release(file.parent).id == releases[1].id]
    good = weights.read_bytes()
    weights.write_bytes(good[:-1])
    try:
        registry.set_alias("2", "champion")
        found = said(reconcile(home, home.tracking_uri))
    finally:
        weights.write_bytes(good)
    assert "could not be deployed" in found
    assert "The alias points at version 1 again." in found
    assert_one_truth(home, NAME, "1", releases[0])
    entry = promotions(home.tracking_uri, NAME)[0]
    assert (entry["to"], entry["outcome"]) == ("2", "failed")
    assert "was changed" in entry["why"]


def test_the_old_version_is_retired_after_the_aliases_moved_and_the_ledger_was_closed(
    home, registry, releases, first, monkeypatch
):
    retire, seen = deployment.retire, []

    def watched(*arguments):
        outcome = promotions(home.tracking_uri, NAME)[0]["outcome"]
        seen.append((registry.alias("champion"), registry.alias("previous"), outcome))
        retire(*arguments)

    monkeypatch.setattr(deployment, "retire", watched)
    registry.set_alias("2", "champion")
    reconcile(home, home.tracking_uri)
    assert seen == [("2", "1", "promoted")]
    assert_one_truth(home, NAME, "2", releases[1])


def test_any_error_of_a_deployment_closes_its_entry_in_the_ledger(home, registry, releases, first, monkeypatch):
    def break_down(*_arguments, **_options):
        raise ZeroDivisionError("a fault of the program")

    monkeypatch.setattr(deployment, "switch_over", break_down)
    registry.set_alias("2", "champion")
    with pytest.raises(ZeroDivisionError):
        reconcile(home, home.tracking_uri)
    entry = promotions(home.tracking_uri, NAME)[0]
    assert (entry["to"], entry["outcome"]) == ("2", "failed")
    assert entry["why"].endswith("a fault of the program")
    monkeypatch.undo()
    reconcile(home, home.tracking_uri)  # the wish stands, and is granted now
    assert_one_truth(home, NAME, "2", releases[1])


def test_an_alias_that_was_removed_is_set_again(home, registry, releases, first):
    registry.drop_alias("champion")
    assert "It has it again." in said(server_status(home, home.tracking_uri).differences)
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_version_that_was_deleted_serves_on_and_this_is_said(home, releases, tmp_path):
    release = make_release_of("fleeting", tmp_path)
    register(release, home, tmp_path / "report")
    to(home, "1", "fleeting")
    MlflowClient(home.tracking_uri).delete_model_version("fleeting", "1")
    for _ in range(2):
        assert "does not have it any more. It serves until another" in said(start_server(home, home.tracking_uri).differences)
    assert answers(home, "fleeting") == ("1", release.id)


def test_a_damaged_record_of_what_serves_is_made_again_from_the_registry(home, registry, releases, first):
    pid = server.status(home).models[NAME].versions[0].workers[0].pid
    home.serve.deployed.write_text("{")
    assert "is damaged. glocal serve start makes it again" in said(server.status(home).differences)
    started = start_server(home, home.tracking_uri)
    assert "kept as deployed.json.damaged and made again" in said(started.differences)
    assert_one_truth(home, NAME, "1", releases[0])
    assert server.status(home).models[NAME].versions[0].workers[0].pid == pid  # it served on


def test_without_record_and_archive_the_champion_comes_from_the_registry(home, registry, releases, first):
    server.stop(home)
    home.serve.deployed.write_text("[]")
    shutil.rmtree(home.serve.store)
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_server_with_a_damaged_state_file_is_found_and_stays(home, releases, first):
    pid = server.status(home).pid
    home.serve.state.write_text("}")
    looked = server.status(home)
    assert (looked.pid, looked.state) == (pid, "serving")
    assert "state.json is damaged" in said(looked.differences)
    started = start_server(home, home.tracking_uri)
    assert "state.json is damaged" in said(started.differences)
    assert (started.pid, read_json(home.serve.state)["pid"]) == (pid, pid)


def test_a_server_that_was_started_and_is_not_on_record_is_taken_over(home, releases, first):
    server.stop(home)
    code = f"""
import os
from model.home import Home
from model.claim import claim
from serving.backends.torchserve import process
from serving.backends.torchserve.backend import BACKEND
process.remember = lambda *_: os.kill(os.getpid(), 9)
BACKEND.ensure(Home.at({str(home.root)!r}).serve)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (pid,) = server_pids(home.serve)
    started = start_server(home, home.tracking_uri)
    assert (started.pid, server_pids(home.serve)) == (pid, [pid])
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_stopped_server_ends_even_where_no_record_names_it(home, releases, first):
    home.serve.state.unlink()
    assert server.stop(home) is True
    assert server_pids(home.serve) == []
    assert server_status(home, home.tracking_uri).state == "stopped"


def test_a_server_without_its_model_is_reported_and_brought_back(home, releases, first):
    with connect(home.serve, backends.running(home.serve)) as endpoint:
        for name in endpoint.server.held():
            for version in endpoint.loaded(name):
                endpoint.server.unload(name, version)
    looked = server_status(home, home.tracking_uri)
    assert looked.state == "empty"
    assert looked.fault.exit_code == 5
    assert looked.fault.headline.startswith("On record, but not served: drawn")
    assert start_server(home, home.tracking_uri).state == "serving"
    assert_one_truth(home, NAME, "1", releases[0])


def test_a_deaf_server_is_reported_as_such(home, releases, first):
    process = psutil.Process(server.status(home).pid)
    process.suspend()
    try:
        looked = server.status(home)
    finally:
        process.resume()
    assert (looked.running, looked.state, looked.fault.exit_code) == (True, "deaf", 5)
    assert wait_until(lambda: server.status(home).state == "serving", deadline_s=30)


def test_what_killed_deployments_leave_is_removed(home, releases, first):
    store = home.serve.store
    for name in (".drawn-9.mar.ab12", ".drawn-1.mar.sha256.cd34", "drawn-9.mar", "drawn-9.mar.sha256", "old-3.mar.sha256"):
        (store / name).write_text("x")
    assert "drawn-9.mar" in said(reconcile(home, home.tracking_uri))
    assert_one_truth(home, NAME, "1", releases[0])
    assert not list(store.glob("old-*"))


def test_the_first_promotion_of_a_model_is_completed_as_well(home, releases, tmp_path):
    release = make_release_of("early", tmp_path)
    register(release, home, tmp_path / "report")
    code = f"""
import os
import serving.registry.models as models
from model.home import Home
from model.claim import claim
from serving.promotion import promote
home = Home.at({str(home.root)!r})
models.Registry.make_champion = lambda *_: os.kill(os.getpid(), 9)
promote("1", home=home, tracking_uri=home.tracking_uri, name="early", why="w")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert "cut short after it had verified. Its aliases were moved." in said(server_status(home, home.tracking_uri).differences)
    assert_one_truth(home, "early", "1", release)


def test_models_of_two_data_sets_serve_side_by_side_and_come_back_alone(home, registry, releases, first, tmp_path):
    other = make_release_of("mugs.v2", tmp_path, seed=4)
    assert register(other, home, tmp_path / "report").model == "mugs-v2"
    to(home, "1", "mugs-v2")
    assert_one_truth(home, "mugs-v2", "1", other)
    assert_one_truth(home, NAME, "1", releases[0])
    server.stop(home)
    archive = home.serve.store / "mugs-v2-1.mar"
    good = archive.read_bytes()
    archive.write_bytes(good[:-1])
    stored = (home.root / "mlartifacts").rglob("weights.safetensors")
    (weights,) = [file for file in stored if open_release(file.parent).id == other.id]
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])  # so that the archive cannot be packed again
    try:
        started = start_server(home, home.tracking_uri)
        assert (started.state, started.missing, started.fault.exit_code) == ("partial", ("mugs-v2",), 5)
        assert "cannot be brought back" in said(started.differences)
        assert_one_truth(home, NAME, "1", releases[0])
        assert "glocal run" in said(started.differences)
    finally:
        archive.write_bytes(good)
        weights.write_bytes(whole)
    assert start_server(home, home.tracking_uri).state == "serving"
    assert_one_truth(home, "mugs-v2", "1", other)


def test_a_model_of_other_data_is_replaced_only_where_a_setting_says_so(home, registry, releases, first, tmp_path):
    other = make_release_of("cups", tmp_path, seed=5)
    with pytest.raises(
        Conflict, match=r"champion of drawn is version 1, trained on drawn@0000000; the data here are cups@0000000\."
    ):
        register(other, home, tmp_path / "report", name=NAME)
    registered = register(other, home, tmp_path / "report", name=NAME, replace_other_data=True)
    with pytest.raises(Conflict, match="trained on drawn@0000000"):
        to(home, registered.version, NAME)
    assert_one_truth(home, NAME, "1", releases[0])
    to(home, registered.version, NAME, replace_other_data=True)
    assert_one_truth(home, NAME, registered.version, other)
    to(home, "1", NAME, replace_other_data=True)


def test_a_report_on_another_release_is_refused(home, releases, tmp_path):
    evidence = write_evidence(tmp_path, releases[1])
    with pytest.raises(InvalidInput, match=f"is of release {releases[1].id}, and this release is {releases[0].id}"):
        register_release(releases[0].folder, *evidence, ServeConfig(), tracking_uri=home.tracking_uri)


def test_a_report_on_other_data_is_refused(home, releases, tmp_path):
    report, decision = write_evidence(tmp_path, releases[0])
    stored = read_json(report / "report.json")
    write_json(report / "report.json", stored | {"data": stored["data"] | {"rev": "2" * 40}})
    with pytest.raises(InvalidInput, match="other data"):
        register_release(releases[0].folder, report, decision, ServeConfig(), tracking_uri=home.tracking_uri)


def test_a_release_whose_provenance_was_edited_is_refused(home, releases, tmp_path):
    folder = shutil.copytree(releases[0].folder, tmp_path / "release")
    manifest = read_json(folder / "manifest.json")
    manifest["data"]["rev"] = "1" * 40
    write_json(folder / "manifest.json", manifest)
    evidence = write_evidence(tmp_path, releases[0])
    with pytest.raises(InvalidInput, match="its manifest was changed"):
        register_release(folder, *evidence, ServeConfig(), tracking_uri=home.tracking_uri)

"""A registry that is lost beside a real TorchServe: nothing is numbered anew, and no alias goes to what does not serve."""

import shutil
import sys

import pytest

from model.claim import claim
from model.config import GateConfig, RunConfig, ServeConfig
from model.environment import Environment
from model.errors import Conflict, StorageFailed
from model.home import Home
from pipelines.running import run_training
from serving import server
from serving.gating import gate_release
from serving.promotion import promote
from serving.reconcile import server_status, start_server
from serving.registry.models import Registry
from tests.support.commands import command, glocal
from tests.support.promotions import answers, assert_one_truth, make_releases, register, said, to, write_evidence
from tests.support.sources import make_source

pytestmark = pytest.mark.integration

NAME = "drawn"


@pytest.fixture(scope="module")
def releases(tmp_path_factory, home):
    """Release A, which serves as version 1, and release B, which is not registered here."""
    root = tmp_path_factory.mktemp("releases")
    made = make_releases(root)[:2]
    assert register(made[0], home, root / "report").version == "1"
    to(home, "1", NAME)
    return made


@pytest.fixture
def records(home, releases):
    """The registry's database and the files of its runs, which are moved away for the test and put back."""
    kept = home.root / "kept"
    kept.mkdir()
    names = ("mlflow.db", "mlartifacts")
    for name in names:
        (home.root / name).rename(kept / name)
    yield kept
    for name in names:
        if (home.root / name).exists():
            shutil.rmtree(home.root / name) if (home.root / name).is_dir() else (home.root / name).unlink()
        (kept / name).rename(home.root / name)
    kept.rmdir()
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])


@pytest.fixture
def other(home, releases, tmp_path):
    """The home of another registry, in which version 1 is release B. Afterwards the own registry and what serves agree again."""
    other = claim(Home.at(tmp_path / "other"))
    assert register(releases[1], other, tmp_path / "report").version == "1"
    yield other
    start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, "1", releases[0])


@pytest.fixture
def registry(other):
    return Registry(other.tracking_uri, NAME)


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_nothing_runs_gates_registers_or_deploys_while_the_database_is_lost(home, releases, records, tmp_path, running):
    if not running:
        server.stop(home)
    source, (report, _) = make_source(tmp_path / "photos"), write_evidence(tmp_path / "evidence", releases[1])
    runs = sorted(home.runs.glob("*"))
    with pytest.raises(StorageFailed, match="is missing") as refused:
        run_training(
            str(source), RunConfig(), environment=Environment(home=home, tracking_uri=""), listener=pytest.fail, why="test"
        )
    assert refused.value.exit_code == 1
    assert "Restore it from a backup" in refused.value.hint
    assert f"glocal serve stop, then move {home.serve.root} and {home.ledger} away" in refused.value.hint
    with pytest.raises(StorageFailed, match="is missing"):
        gate_release(
            releases[1].pin,
            GateConfig(),
            ServeConfig(),
            releases[1].folder,
            report,
            tmp_path / "decision",
            tracking_uri=home.tracking_uri,
            home=home,
        )
    with pytest.raises(StorageFailed, match="is missing"):
        register(releases[1], home, tmp_path / "report")
    with pytest.raises(StorageFailed, match="is missing"):
        to(home, "1", NAME)
    assert (sorted(home.runs.glob("*")), (home.root / "mlflow.db").exists()) == (runs, False)
    assert server.status(home).running == running
    if running:
        assert answers(home, NAME) == ("1", releases[0].id)


REGISTER_AND_PROMOTE = """
import sys
from pathlib import Path
from model.home import Home
from model.release import open_release
from tests.support.commands import command, glocal
from tests.support.promotions import assert_one_truth, register, to
home, release, evidence = Home.at(sys.argv[1]), open_release(Path(sys.argv[2])), Path(sys.argv[3])
version = register(release, home, evidence).version
to(home, version, "drawn")
assert_one_truth(home, "drawn", "1", release)
"""


def test_the_second_way_out_begins_new_records_that_agree(home, releases, records, tmp_path):
    code, _, error = glocal(home.root, command("serve", "stop"))
    assert code == 0, error
    home.serve.root.rename(tmp_path / "serve")
    home.ledger.rename(tmp_path / "ledger")
    try:  # in another process, because MLflow keeps a connection to the file that was moved away
        done = glocal(home.root, [sys.executable, "-c", REGISTER_AND_PROMOTE, home.root, releases[1].folder, tmp_path / "report"])
        assert done[0] == 0, done[2]
        code, out, error = glocal(home.root, command("serve", "status"))
        assert (code, error) == (0, "")
        assert "drawn: version 1" in out
        assert answers(home, NAME) == ("1", releases[1].id)
    finally:
        server.stop(home)
        shutil.rmtree(home.serve.root, ignore_errors=True)
        (tmp_path / "serve").rename(home.serve.root)
        (tmp_path / "ledger").rename(home.ledger)


def test_a_database_that_was_replaced_is_reported_by_every_look_with_exit_code_1(home, releases, records, other):
    shutil.copy(other.root / "mlflow.db", home.root / "mlflow.db")
    for look in ("status", "start", "status"):
        code, out, error = glocal(home.root, command("serve", look))
        assert code == 1
        assert "drawn: version 1" in out
        headline, hint = error.splitlines()
        assert headline == f"Error: {NAME}: {clash(releases)}"
        assert hint.startswith(
            "  Restore the registry that the version came from. To keep this registry instead: glocal serve stop"
        )
    assert answers(home, NAME) == ("1", releases[0].id)


def clash(releases):
    """What is said of the version that serves release A, and is release B in the registry."""
    return f"Version 1 serves release {releases[0].id}, and the registry has release {releases[1].id} by that number."


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("alias", ["1", None], ids=["champion", "no champion"])
def test_the_number_that_serves_with_another_release_is_reported_and_gets_no_alias(
    home, releases, other, registry, running, alias
):
    if alias:
        registry.set_alias(alias, "champion")
    if not running:
        server.stop(home)
    for look in (server_status, start_server, server_status):
        found = look(home, other.tracking_uri)
        assert found.fault.exit_code == 1
        assert found.fault.headline == f"{NAME}: {clash(releases)}"
        away = f"glocal serve stop, move {home.serve.root} and {home.ledger} away, and run the pipeline again: glocal run DIR."
        assert away in found.fault.hint
        assert "no alias was moved" in found.fault.hint
        assert (registry.alias("champion"), registry.alias("previous")) == (alias, None)
    assert answers(home, NAME) == ("1", releases[0].id)


def test_a_version_of_another_registry_stays_online_where_its_record_is_lost_as_well(home, releases, other):
    home.serve.deployed.unlink()
    found = start_server(home, other.tracking_uri)
    assert "deployed.json did not name version 1, which was deployed. It is on record again." in said(found.differences)
    assert found.fault.headline == f"{NAME}: {clash(releases)}"
    assert answers(home, NAME) == ("1", releases[0].id)


def test_a_promotion_of_the_number_that_serves_with_another_release_names_the_remedy(home, releases, other):
    with pytest.raises(Conflict) as caught:
        promote("1", home=home, tracking_uri=other.tracking_uri, name=NAME, why="test")
    assert caught.value.headline == f"{NAME}: {clash(releases)}"
    assert "glocal serve stop, move" in caught.value.hint
    assert answers(home, NAME) == ("1", releases[0].id)


def test_a_wish_for_another_version_is_followed_and_previous_does_not_go_to_the_number_that_served(
    home, releases, other, registry, tmp_path
):
    assert register(releases[0], other, tmp_path / "report2").version == "2"
    registry.set_alias("2", "champion")
    assert "Version 2 answered its golden queries and serves." in said(start_server(home, other.tracking_uri).differences)
    assert answers(home, NAME) == ("2", releases[0].id)
    assert (registry.alias("champion"), registry.alias("previous")) == ("2", None)

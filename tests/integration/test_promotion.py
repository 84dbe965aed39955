"""A real registry and a real TorchServe: a promotion, and one that is killed at every point. One server for the whole file."""

import pytest

from model.config import ServeConfig
from model.errors import GlocalError, InvalidInput, NotFound
from model.files import read_json
from serving.archive import remove_archive
from serving.local import local_client
from serving.promotion import promote, smoke
from serving.reconcile import server_status, start_server
from serving.registry.ledger import Ledger
from tests.support.killing import kill_at
from tests.support.promotions import assert_one_truth, register, to
from tests.support.records import promotions
from tests.support.releases import make_release
from tests.support.tiers import usual

pytestmark = pytest.mark.integration

NAME = "drawn"


def test_a_promotion_serves_is_champion_and_is_written_down(home, registry, releases):
    done = to(home, "1", NAME)
    assert (done.name, done.version, done.release, done.golden) == (NAME, "1", releases[0].id, 2)
    assert_one_truth(home, NAME, "1", releases[0])
    (entry,) = promotions(home.tracking_uri, NAME)
    assert [entry[tag] for tag in ("by", "from", "to", "outcome")] == ["ann", "", "1", "promoted"]
    smoke(local_client(home.serve), releases[0].folder, ServeConfig())
    with pytest.raises(GlocalError, match="golden query"):
        smoke(local_client(home.serve), releases[1].folder, ServeConfig())
    to(home, "1", NAME)  # once more only verifies
    assert len(promotions(home.tracking_uri, NAME)) == 1


def test_a_version_that_fails_its_golden_queries_moves_nothing_and_the_ledger_says_why(home, registry, releases, first):
    with pytest.raises(GlocalError, match="golden query"):
        to(home, "3", NAME)
    assert_one_truth(home, NAME, "1", releases[0])
    entry = promotions(home.tracking_uri, NAME)[0]
    assert (entry["to"], entry["outcome"]) == ("3", "failed")
    assert "golden query" in entry["why"]


def test_a_version_that_is_not_there_or_is_another_release_is_refused(home, registry, releases, first):
    with pytest.raises(NotFound, match="no version 99"):
        to(home, "99", NAME)
    with pytest.raises(InvalidInput, match="is release"):
        promote("2", home=home, tracking_uri=home.tracking_uri, name=NAME, why="x", release=releases[0])
    assert_one_truth(home, NAME, "1", releases[0])


def test_the_archive_of_the_version_before_is_kept_and_used_when_that_version_comes_back(home, registry, releases, first):
    archive = home.serve.store / f"{NAME}-1.mar"
    packed = archive.stat()
    to(home, "2", NAME)
    to(home, "1", NAME)
    assert (archive.stat().st_ino, archive.stat().st_mtime_ns) == (packed.st_ino, packed.st_mtime_ns)
    assert read_json(home.serve.deployed)[NAME]["previous"] == f"{NAME}-2.mar"
    (home.serve.store / f"{NAME}-2.mar").write_bytes(b"damaged")
    to(home, "2", NAME)  # it is packed again
    assert_one_truth(home, NAME, "2", releases[1])


def test_of_the_versions_before_one_archive_is_kept(home, registry, releases, first, tmp_path):
    to(home, "2", NAME)
    assert (home.serve.store / f"{NAME}-1.mar").exists()
    release = make_release(tmp_path / "release", seed=7)
    version = register(release, home, tmp_path / "report").version
    to(home, version, NAME)
    kept = {path.name for path in home.serve.store.glob("*.mar")}
    assert kept == {f"{NAME}-{version}.mar", f"{NAME}-2.mar"}
    assert_one_truth(home, NAME, version, release)


POINTS = {
    # the point: what is called there, which of its calls, whether the kill comes after it, and the version that serves then
    "before the ledger's entry": ("serving.registry.ledger.Ledger.begin", 1, "before", "1"),
    "after the ledger's entry": ("serving.registry.ledger.Ledger.begin", 1, "after", "1"),
    "before the line of the ledger's file": ("serving.registry.ledger_file.LedgerFile.append", 1, "before", "1"),
    "before the last line of the ledger's file": ("serving.registry.ledger_file.LedgerFile.append", 2, "before", "2"),
    "after the last line of the ledger's file": ("serving.registry.ledger_file.LedgerFile.append", 2, "after", "2"),
    "while the archive is written": ("serving.archive._zip", 1, "after", "1"),
    "before the archive's hash": ("serving.archive.write_text", 1, "before", "1"),
    "after the archive": ("serving.rollout.switch.pack", 1, "after", "1"),
    "after it was registered at the server": ("serving.backends.torchserve.management.Management._register", 1, "after", "1"),
    "while its workers start": ("serving.backends.torchserve.management.Management._await_workers", 1, "before", "1"),
    "before the golden queries": ("serving.rollout.endpoint.replay_golden", 1, "before", "1"),
    "after the golden queries": ("serving.rollout.endpoint.replay_golden", 1, "after", "1"),
    "while deployed.json is written": ("model.files.write_text", 1, "before", "1"),
    "after deployed.json": ("serving.rollout.switch.write_deployed", 1, "after", "2"),
    "before the aliases": ("serving.registry.models.Registry.make_champion", 1, "before", "2"),
    "between previous and champion": ("serving.registry.models.Registry.set_alias", 1, "after", "2"),
    "after champion": ("serving.registry.models.Registry.set_alias", 2, "after", "2"),
    "before challenger is dropped": ("serving.registry.models.Registry.drop_alias", 1, "before", "2"),
    "before the ledger's entry is closed": ("serving.registry.ledger.Ledger.close", 1, "before", "2"),
    "while the ledger's entry is closed": ("mlflow.MlflowClient.set_terminated", 1, "before", "2"),
    "before the old one is retired": ("serving.deployment.retire", 1, "before", "2"),
    "before the archive before the old one is discarded": ("serving.rollout.switch.discard_archive", 1, "before", "2"),
    "after the old one was unloaded": ("serving.backends.torchserve.management.Management.unload", 1, "after", "2"),
}

PROMOTION = """
import serving.promotion
home = serving.promotion.Home.at(arguments[0])
serving.promotion.promote("2", home=home, tracking_uri=home.tracking_uri, name=arguments[1], why="killed", by="bob")
"""


def killed(home, target, count, when):
    armed_by = "serving.promotion.reconcile_endpoint"  # the deployment is killed, not the reconciliation before it
    kill_at(target, count, when, PROMOTION, home.root, NAME, armed_by=armed_by)


USUAL = "while the archive is written", "after the golden queries", "after champion", "after the old one was unloaded"


@pytest.mark.parametrize("point", usual(POINTS, *USUAL))
def test_whatever_a_deployment_is_killed_at_the_next_start_finds_one_truth(home, registry, releases, first, point):
    target, count, when, version = POINTS[point]
    registry.set_alias("2", "challenger")
    remove_archive(home.serve.store / f"{NAME}-2.mar")  # it is kept where version 2 served before, and would not be packed
    killed(home, target, count, when)
    started = start_server(home, home.tracking_uri)
    assert_one_truth(home, NAME, version, releases[int(version) - 1])
    assert started.state == "serving"
    assert Ledger(home.tracking_uri, NAME, home.ledger).unfinished() == []
    entry = promotions(home.tracking_uri, NAME)[0]
    if target.endswith("Ledger.begin") and when == "before":
        assert entry["by"] == "ann"
    else:
        assert (entry["why"], entry["by"], entry["outcome"]) == ("killed", "bob", "promoted" if version == "2" else "killed")
    assert server_status(home, home.tracking_uri).differences == ()

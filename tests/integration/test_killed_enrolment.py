"""`glocal gallery add` killed at each point where it writes: the old version serves or the new one, and the next run goes on."""

from itertools import count

import pytest

from model.data.images import to_png
from serving.history import history_faults, release_faults
from serving.local import local_client
from serving.reconcile import server_status, start_server
from serving.registry.models import Registry
from serving.registry.runs import Runs
from tests.support.commands import command, glocal, last_line
from tests.support.killing import killing_run
from tests.support.promotions import assert_one_truth
from tests.support.shelf import draw, serve_shelf, shown
from tests.support.tiers import usual

SHELF = "shelf"
"""The served model, and its data set."""
pytestmark = pytest.mark.integration

SEEDS = count(100, 2)
OLD = {
    # the point: the step's function, what is called there, which of its calls, and whether the kill comes after it
    "after the version of the data": ("version", "model.data.importing.pinning.import_dataset", 1, "after"),
    "while the release is written": ("enrol", "model.schemas.release_manifest.ReleaseManifest.save", 1, "after"),
    "before the step's record ends": ("enrol", "components.runtime.run_record.NestedRun.finish", 1, "before"),
    "after the decision": ("gate_gallery", "model.schemas.decision.Decision.save", 1, "after"),
    "after the registered files": ("register_gallery", "serving.registry.version_files.VersionFiles.store", 1, "after"),
    "after the registered version": ("register_gallery", "serving.registry.models.Registry.register", 1, "after"),
    "after the ledger's entry": ("deploy", "serving.registry.ledger.Ledger.begin", 1, "after"),
    "after the golden queries": ("deploy", "serving.rollout.endpoint.replay_golden", 1, "after"),
}
NEW = {
    "after deployed.json": ("deploy", "serving.rollout.switch.write_deployed", 1, "after"),
    "between previous and champion": ("deploy", "serving.registry.models.Registry.set_alias", 1, "after"),
    "before the ledger's entry is closed": ("deploy", "serving.registry.ledger.Ledger.close", 1, "before"),
    "before the smoke test": ("smoke_test", "serving.promotion.smoke", 1, "before"),
    "before the run is closed": ("record", "components.runtime.run_record.close_run", 1, "before"),
}


@pytest.fixture(scope="module")
def base(home, tmp_path_factory):
    """Version 1, which serves."""
    return serve_shelf(home, tmp_path_factory.mktemp("base"), SHELF)


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """Images of a new object; every killed run of `OLD` tries to enrol them."""
    return draw(tmp_path_factory.mktemp("new") / "plates", plate=(21, 22))


def add(home, source, **variables):
    code, out, error = glocal(home.root, command("gallery", "add", source, "--json"), **variables)
    return code, last_line(out), error


def add_killed(home, source, tmp_path, point):
    code, body, error = add(home, source, **killing_run(tmp_path, *point))
    assert code == 1
    assert "It was killed by signal 9." in error
    assert "The same command resumes." in error
    assert Runs(home.tracking_uri).run(body["run_id"]).state == "failed"


def identified(home, seed):
    return local_client(home.serve).identify(to_png(shown(seed)), model=SHELF)


def champion(home):
    return Registry(home.tracking_uri, SHELF).champion()


def assert_whole(home, tmp_path):
    """One version serves, is champion and on record; every registered release is whole, once, and the history is intact."""
    registry, now = Registry(home.tracking_uri, SHELF), champion(home)
    assert_one_truth(home, SHELF, now.version, registry.files.fetch(now.version, tmp_path / "now"))
    assert server_status(home, home.tracking_uri).differences == ()
    assert history_faults(home, home.tracking_uri) + release_faults(home, home.tracking_uri) == []
    releases = [each.release for each in registry.versions()]
    assert len(set(releases)) == len(releases)


@pytest.mark.parametrize("point", usual(OLD, "while the release is written", "after the golden queries"))
def test_killed_before_the_switch_the_old_version_serves_on(home, base, plates, tmp_path, point):
    before = champion(home)
    add_killed(home, plates, tmp_path, OLD[point])
    assert champion(home).version == before.version
    assert identified(home, 21).label == "unknown"
    found = identified(home, 1)
    assert (found.label, found.release) == ("cup", before.release)


def test_however_often_it_was_killed_the_same_command_enrols_them_at_last(home, base, plates, tmp_path):
    code, body, error = add(home, plates)
    assert code == 0, error
    assert (body["gallery"]["added"], body["model_version"]) == ({"plate": 2}, champion(home).version)
    assert identified(home, 21).label == "plate"
    assert_whole(home, tmp_path)


@pytest.mark.parametrize("point", usual(NEW, "after deployed.json"))
def test_killed_after_the_switch_the_new_version_serves_and_the_next_run_has_nothing_to_do(home, base, tmp_path, point):
    seed, before = next(SEEDS), champion(home)
    source = draw(tmp_path / f"bowls{seed}", **{f"bowl{seed}": (seed, seed + 1)})
    add_killed(home, source, tmp_path, NEW[point])
    assert identified(home, seed).label == f"bowl{seed}"
    code, body, error = add(home, source)
    assert (code, body["model_version"], len(body["gallery"]["copies"])) == (0, None, 2), error
    assert "there is nothing to do" in error
    assert champion(home).version != before.version
    start_server(home, home.tracking_uri)  # which removes the version that was not retired
    assert_whole(home, tmp_path)

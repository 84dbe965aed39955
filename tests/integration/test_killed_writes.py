"""A registration, an approval and a removal of garbage, killed at each point where they write: old or new, then finished."""

from itertools import count

import pytest

from model.claim import claim
from model.config import ServeConfig
from model.home import Home
from model.schemas.approval import ApprovalRule
from serving.approval import give_word, read_approval
from serving.deployment import ModelRecords
from serving.history import history_faults, release_faults
from serving.housekeeping import find_garbage, remove_garbage
from serving.promotion import register_release
from serving.registry.models import Registry
from tests.support.killing import kill_at
from tests.support.promotions import write_evidence
from tests.support.releases import make_release

pytestmark = pytest.mark.integration

NAME = "drawn"
SEEDS = count(1000)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return claim(Home.at(tmp_path_factory.mktemp("home")))


@pytest.fixture
def evidence(tmp_path):
    """A release with its report and its decision, which asks for one approval."""
    release = make_release(tmp_path / "release", seed=next(SEEDS))
    return release, write_evidence(tmp_path / "evidence", release, approval=ApprovalRule(approvers=1, own=False))


def register(home, release, folders):
    return register_release(release.folder, *folders, ServeConfig(name=NAME), tracking_uri=home.tracking_uri)


REGISTERED = {
    "before the run that keeps it": ("mlflow.MlflowClient.create_run", 1, "before"),
    "after the run that keeps it": ("mlflow.MlflowClient.create_run", 1, "after"),
    "after the release": ("mlflow.MlflowClient.log_artifacts", 1, "after"),
    "after report and decision": ("mlflow.MlflowClient.log_artifacts", 2, "after"),
    "after the card": ("mlflow.MlflowClient.log_text", 1, "after"),
    "after the version": ("mlflow.MlflowClient.create_model_version", 1, "after"),
    "after the run has ended": ("mlflow.MlflowClient.set_terminated", 1, "after"),
    "before challenger": ("mlflow.MlflowClient.set_registered_model_alias", 1, "before"),
    "after challenger": ("mlflow.MlflowClient.set_registered_model_alias", 1, "after"),
    "before the card with the version": ("mlflow.MlflowClient.update_model_version", 1, "before"),
}

REGISTRATION = """
import serving.promotion
from pathlib import Path
from model.config import ServeConfig
release, report, decision = map(Path, arguments[2:])
serving.promotion.register_release(release, report, decision, ServeConfig(name=arguments[1]), tracking_uri=arguments[0])
"""


@pytest.mark.parametrize("point", REGISTERED)
def test_a_registration_that_is_killed_is_none_or_whole_and_the_next_makes_one_version(home, evidence, point):
    release, folders = evidence
    kill_at(*REGISTERED[point], REGISTRATION, home.tracking_uri, NAME, release.folder, *folders)
    registry = Registry(home.tracking_uri, NAME)
    known = registry.find(release.id)
    registry.remove_unfinished()
    assert registry.find(release.id) == known  # what is whole is not removed
    made = register(home, release, folders)
    assert known in {None, made.version}
    assert [each.version for each in registry.versions() if each.release == release.id] == [made.version]
    assert made.aliases == ("challenger",)
    assert registry.files.evidence_sha256(made.version) == made.evidence_sha256
    assert (registry.remove_unfinished(), release_faults(home, home.tracking_uri)) == (0, [])


SAID = {
    "before MLflow's entry": ("mlflow.MlflowClient.create_run", 1, "before", False),
    "after MLflow's entry": ("mlflow.MlflowClient.create_run", 1, "after", False),
    "before the line of the ledger's file": ("serving.registry.ledger_file.LedgerFile._write", 1, "before", False),
    "after the line of the ledger's file": ("serving.registry.ledger_file.LedgerFile._write", 1, "after", False),
    "before MLflow knows of the line": ("mlflow.MlflowClient.set_tag", 1, "before", False),
    "after MLflow knows of the line": ("mlflow.MlflowClient.set_tag", 1, "after", True),
    "before MLflow's entry has ended": ("mlflow.MlflowClient.set_terminated", 1, "before", True),
}

APPROVAL = """
from model.home import Home
from serving.approval import give_word
from serving.deployment import ModelRecords
model = ModelRecords.open(Home.at(arguments[0]), *arguments[1:3])
give_word(model.registry, model.ledger, arguments[3], "approved", by="eve", why="killed")
"""


@pytest.mark.parametrize("point", SAID)
def test_an_approval_that_is_killed_is_given_or_not_and_may_be_given_again(home, evidence, point):
    *place, given = SAID[point]
    version = register(home, *evidence)
    armed_by = "serving.approval._said"  # the word is written after what was said before it was read
    kill_at(*place, APPROVAL, home.root, home.tracking_uri, NAME, version.version, armed_by=armed_by)
    model = ModelRecords.open(home, home.tracking_uri, NAME)
    assert read_approval(model.registry, model.ledger, version).may_serve is given
    assert history_faults(home, home.tracking_uri) == []
    said = give_word(model.registry, model.ledger, version.version, "approved", by="eve", why="again")
    assert (said.approved, said.may_serve) == (("eve",), True)
    assert history_faults(home, home.tracking_uri) == []


def test_an_approval_that_was_only_written_into_mlflow_counts_for_nothing(home, evidence):
    version = register(home, *evidence)
    model = ModelRecords.open(home, home.tracking_uri, NAME)
    tags = {
        "model": NAME,
        "to": version.version,
        "release": version.release,
        "evidence": version.evidence_sha256,
        "by": "eve",
    }
    model.ledger._client.create_run(model.ledger._experiment, tags={**tags, "outcome": "approved"})
    assert read_approval(model.registry, model.ledger, version).approved == ()
    forged = model.ledger._client.create_run(model.ledger._experiment, tags={**tags, "outcome": "approved", "kept": "yes"})
    assert forged.info.run_id in history_faults(home, home.tracking_uri)[0]
    model.ledger._client.delete_run(forged.info.run_id)


REMOVED = {
    "before it is marked": ("mlflow.MlflowClient.set_model_version_tag", 1, "before"),
    "after it is marked": ("mlflow.MlflowClient.set_model_version_tag", 1, "after"),
    "before its files": ("serving.registry.models.remove_whole", 1, "before"),
    "in the midst of its files": ("shutil.rmtree", 1, "before"),
    "after its files": ("serving.registry.models.remove_whole", 1, "after"),
}

REMOVAL = """
from model.home import Home
from serving.housekeeping import find_garbage, remove_garbage
home = Home.at(arguments[0])
remove_garbage(find_garbage(home, home.tracking_uri, days=0), home, home.tracking_uri, days=0)
"""


@pytest.mark.parametrize("point", REMOVED)
def test_a_removal_of_garbage_that_is_killed_is_finished_by_the_next_and_what_is_needed_stays(home, evidence, tmp_path, point):
    unneeded = register(home, *evidence)
    other = make_release(tmp_path / "other", seed=next(SEEDS))
    needed = register(home, other, write_evidence(tmp_path / "of other", other))  # the challenger now
    kill_at(*REMOVED[point], REMOVAL, home.root)
    garbage = find_garbage(home, home.tracking_uri, days=0)
    remove_garbage(garbage, home, home.tracking_uri, days=0)
    assert find_garbage(home, home.tracking_uri, days=0).items == ()
    registry = Registry(home.tracking_uri, NAME)
    assert registry.files.folder(unneeded.version) is None
    assert registry.version(unneeded.version).removed
    registry.files.check(needed.version)

"""The history of promotions, with real MLflow and the ledger's file; read by the command line."""

from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from model.errors import InvalidInput
from model.home import Home
from serving.deployment import serving_place
from serving.history import history_faults, refuse_changed_history
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from tests.support.commands import command, glocal, last_line
from tests.support.releases import make_release

pytestmark = pytest.mark.integration


def said(home, *words):
    """Standard output of a command that succeeds."""
    code, out, error = glocal(home.root, command(*words))
    assert code == 0, error
    return out


def told(home, *words):
    """What a command answers as JSON."""
    return last_line(said(home, *words, "--json"))


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.root.mkdir()
    return home


@pytest.fixture
def ledger(home):
    """Two versions, the first promoted, the second refused by its golden queries, then promoted."""
    registry = Registry(home.tracking_uri, "demo")
    for seed in (1, 2):
        release = make_release(home.root.parent / str(seed), seed=seed)
        registry.register(release, {"map_at_r": 0.5 + seed / 10, "recall_at_1": 0.8})
    ledger = Ledger(home.tracking_uri, "demo", home.ledger)
    for before, version, outcome in (("", "1", "promoted"), ("1", "2", "failed"), ("1", "2", "promoted")):
        place = serving_place(home)
        entry = ledger.begin(by="ann", why=f"try {version}", before=before, version=version, release_id="r", place=place)
        ledger.close(entry, outcome)
    registry.make_champion("1", None)
    registry.make_champion("2", "1")
    return ledger


def test_the_history_and_the_versions_are_listed(home, ledger):
    found = told(home, "history", "--verify")
    assert [(each["before"], each["version"], each["outcome"], each["by"]) for each in found["history"]] == [
        ("", "1", "promoted", "ann"),
        ("1", "2", "failed", "ann"),
        ("1", "2", "promoted", "ann"),
    ]
    assert found["intact"] is True
    listed = told(home, "models")["models"]["demo"]
    assert [(each["version"], each["aliases"]) for each in listed] == [("2", ["champion"]), ("1", ["previous"])]
    assert "map_at_r 0.600 (-0.100)" in said(home, "models", "demo")


def test_what_served_at_a_time_is_named(home, ledger):
    first, _, last = (entry["ended"] for entry in told(home, "history")["history"])

    def served(milliseconds):
        at = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
        return [each["version"] for each in told(home, "history", "--at", at)["history"]]

    assert [served(first - 1), served(last - 1), served(last)] == [[], ["1"], ["2"]]


def test_an_entry_that_was_edited_in_mlflow_is_named_and_nothing_is_added_to_it(home, ledger):
    client = MlflowClient(home.tracking_uri)
    experiment = client.get_experiment_by_name("glocal-promotions")
    run = client.search_runs([experiment.experiment_id], "tags.outcome = 'failed'")[0]
    client.set_tag(run.info.run_id, "outcome", "promoted")
    (fault,) = history_faults(home, home.tracking_uri)
    assert fault == f"The promotion of demo 1 to 2 ({run.info.run_id}) was changed in MLflow: outcome."
    with pytest.raises(InvalidInput, match="The history of promotions was changed"):
        refuse_changed_history(home, home.tracking_uri)
    code, _, error = glocal(home.root, command("history", "--verify"))
    assert code == 2
    assert fault in error


def test_an_empty_home_has_no_history(home):
    assert told(home, "history", "--verify") == {"history": [], "intact": True}
    assert said(home, "models") == ""

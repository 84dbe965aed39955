"""Pages of a record with many runs, in a real MLflow on SQLite: filtered, in order, with as many questions as for few runs."""

import shutil
from contextlib import contextmanager

import pytest
from mlflow import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks.dashboard_store import multiply
from model.config import RunConfig
from model.errors import InvalidInput
from pipelines.provenance import run_params
from serving.registry.models import Registry
from serving.registry.records import KIND
from serving.registry.runs import Runs
from tests.support.releases import make_pin

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A home's database with one training of three steps, and one version."""
    folder = tmp_path_factory.mktemp("home")
    uri = f"sqlite:///{folder}/mlflow.db"
    runs = Runs(uri)
    run_id = runs.start_run("drawn", run_params("/images", "drawn", RunConfig()), {KIND: "training", "order": "first"})
    for step in ("version", "train", "gate"):
        runs.finish(runs.start_step(run_id, step))
    runs.log(run_id, {"recall_at_1": 0.5}, {"passed": "True"})
    runs.log_dataset(run_id, make_pin())
    runs.close(run_id, succeeded=True)
    client = MlflowClient(uri)
    client.create_registered_model("drawn")
    client.create_model_version("drawn", str(folder), run_id, tags={"release": "r"})
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def many(one, tmp_path_factory):
    """The same with 59 runs and 20 versions more."""
    file = tmp_path_factory.mktemp("many") / "mlflow.db"
    shutil.copy(one, file)
    added = multiply(file, runs=59, versions=20)
    assert (added["runs"], added["model_versions"]) == (59 * 4, 20)
    return f"sqlite:///{file}"


@contextmanager
def questions():
    """The statements that are sent to a database meanwhile."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_the_pages_hold_every_run_once_newest_first_without_steps(many):
    runs, seen, token = Runs(many), [], ""
    while True:
        page = runs.page(25, token, data="drawn")
        seen += page.runs
        if not (token := page.next):
            break
    assert (len(seen), len({run.id for run in seen})) == (60, 60)
    assert [run.started for run in seen] == sorted((run.started for run in seen), reverse=True)
    assert {run.kind for run in seen} == {"training"}
    assert runs.run(seen[-1].id).steps[0].name == "version"


def test_runs_are_found_by_state_data_kind_and_time(many):
    runs = Runs(many)
    under_way = runs.start_run("other", {"name": "it's"}, {KIND: "enrolment"})
    assert [run.id for run in runs.page(state="running").runs] == [under_way]
    assert [run.id for run in runs.page(data="it's").runs] == [under_way]
    assert [run.id for run in runs.page(kind="enrolment").runs] == [under_way]
    assert len(runs.page(100, state="failed").runs) == 5
    assert len(runs.page(100, state="succeeded", data="drawn", kind="training").runs) == 55
    (newest, *older) = runs.page(100, data="drawn").runs
    assert list(runs.page(100, data="drawn", before=newest.started).runs) == older
    assert runs.page(data="none").runs == ()


def test_what_is_no_token_and_no_name_is_refused(many):
    for given in ({"token": "x"}, {"data": "'\""}):
        with pytest.raises(InvalidInput):
            Runs(many).page(**given)


def test_a_page_of_many_runs_takes_as_many_questions_as_one_of_few(one, many):
    counted = {}
    for uri in (f"sqlite:///{one}", many):
        runs = Runs(uri)
        with questions() as sent:
            runs.page(20)
        counted[uri] = len(sent)
    assert len(set(counted.values())) == 1, counted


def test_copied_versions_are_read_as_versions(many):
    versions = Registry(many, "drawn").versions()
    assert [int(each.version) for each in versions] == list(range(21, 0, -1))

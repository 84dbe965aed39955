"""A live cluster: what has to be set, and a check of each before anything is started."""

import os
import time
from pathlib import Path

import httpx
import pytest

from model.cluster import Kubeflow
from model.environment import Environment
from model.errors import GlocalError
from tests.support.commands import command, end, glocal

NEEDED = {
    "GLOCAL_TRACKING_URI": "the MLflow server, by an address that is right here; pods have theirs from a ConfigMap",
    "GLOCAL_DATA_REMOTE": "where the files of data versions are pushed, such as s3://bucket/data",
    "GLOCAL_DATA_GIT": "the git repository of data versions",
    "GLOCAL_SERVER": "the cluster's dashboard, which approves, promotes and rolls back",
    "GLOCAL_ENDPOINT": "the endpoint, by an address that is right here",
    "GLOCAL_KEY": "a key of the endpoint with the scopes caller and operator",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster():
    """The variables by which the cluster is reached; where there is none, the tests say so and stop."""
    if not (os.environ.get("GLOCAL_KUBEFLOW_HOST") or os.environ.get("KUBECONFIG")):
        pytest.skip("There is no cluster: set GLOCAL_KUBEFLOW_HOST or KUBECONFIG. docs/operations.md says what else.")
    if missing := [f"{name} ({what})" for name, what in NEEDED.items() if not os.environ.get(name)]:
        pytest.fail(f"The cluster is named, but not: {'; '.join(missing)}.", pytrace=False)
    for check in (_kubeflow, _mlflow, _dashboard):
        try:
            check()
        except (GlocalError, httpx.HTTPError) as error:
            pytest.fail(f"{check.__doc__} {error}", pytrace=False)
    return {name: os.environ[name] for name in NEEDED}


@pytest.fixture(scope="session")
def name():
    """Name of a data set, and so of a model, that nobody else has."""
    return f"e2e-{time.strftime('%Y%m%d-%H%M%S')}"


@pytest.fixture(scope="session")
def ask(cluster, tmp_path_factory):
    """Runs a command: the JSON of its last line. Its home has nothing but the folders of its runs."""
    home = tmp_path_factory.mktemp("cluster") / "home"

    def run(*words, exit_code=0, here=home, timeout=3 * 3600, **variables):
        code, out, error = glocal(here, command(*words), timeout=timeout, **variables)
        assert code == exit_code, f"glocal {' '.join(map(str, words))}\n{out[-2000:]}\n{error[-4000:]}"
        return out.strip().splitlines()[-1] if out.strip() else ""

    yield run
    end(home)


@pytest.fixture(scope="session")
def seen(cluster):
    """What was seen, printed as a table at the end."""
    lines = []
    yield lines
    print("\n".join(["", "| what | seen |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in lines)]))


def _kubeflow():
    """Kubeflow Pipelines:"""
    from pipelines.kubeflow.connection import Connection

    Connection(Kubeflow())


def _mlflow():
    """MLflow:"""
    from pipelines.runners.kubeflow import refuse_local_records
    from serving.registry.runs import Runs

    refuse_local_records(Environment())
    Runs(Environment().mlflow_uri)


def _dashboard():
    """The dashboard, GLOCAL_SERVER:"""
    from pipelines.actions.action import ask as ask_dashboard
    from pipelines.actions.runs import list_runs

    ask_dashboard(list_runs, limit=1)

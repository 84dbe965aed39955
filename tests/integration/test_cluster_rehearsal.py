"""`make e2e-kubeflow` as it is, on this machine: what runs on a live cluster is known to be right but for the cluster.

Kubeflow is a server that speaks its API and runs the steps in a home of their own, where the endpoint and the dashboard run as
well; MLflow is a server.
"""

import os
import subprocess
import sys

import pytest

from model.files import read_json
from model.home import Home
from serving.gateway.keys import Scope, create_key
from serving.protocol import local_address
from tests.support.commands import command, end, glocal
from tests.support.kubeflow import kubeflow
from tests.support.kubeflow_pods import Cluster, mlflow_server

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture
def variables(tmp_path):
    """What a person sets before `make e2e-kubeflow`."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "data.git"], check=True)
    shared = {"GLOCAL_DATA_GIT": f"file://{tmp_path}/data.git", "GLOCAL_DATA_REMOTE": str(tmp_path / "files")}
    with kubeflow() as server, mlflow_server(tmp_path / "mlflow") as mlflow:
        shared["GLOCAL_TRACKING_URI"] = mlflow
        cluster = Cluster(server, tmp_path / "cluster", shared)
        home = Home.at(cluster.home)
        _, key = create_key(home.serve, "e2e", [Scope.CALLER, Scope.OPERATOR])
        try:
            for words in (("serve", "start"), ("dashboard", "start")):
                code, out, error = glocal(cluster.home, command(*words), GLOCAL_DASHBOARD_PORT="0", **shared)
                assert code == 0, out + error
            yield {
                **shared,
                "GLOCAL_KUBEFLOW_HOST": server.host,
                "GLOCAL_KUBEFLOW_LOOK_S": "0.5",
                "GLOCAL_SERVER": read_json(home.dashboard.state)["local"],
                "GLOCAL_ENDPOINT": local_address(read_json(home.serve.gateway)["port"]),
                "GLOCAL_KEY": key,
                "GLOCAL_E2E_TOLERANCE": "0",
            }
        finally:
            end(cluster.home)


@pytest.mark.timeout(3600)
def test_the_proof_for_a_live_cluster_passes_here(variables):
    words = [sys.executable, "-m", "pytest", "-m", "cluster", "-rs", "-s", "-x", "tests/cluster"]
    done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "| served in turn |" in done.stdout
    assert "skipped" not in done.stdout

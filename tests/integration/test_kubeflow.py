"""`glocal run --runner kubeflow`, its steps in a home that this machine's command does not see.

Kubeflow is a server that speaks its API and runs the compiled file that it was given by KFP's local runner. MLflow is a server.
The data come by a git repository and a remote that both sides reach. What is not here: Kubeflow itself, its pods and nodes.
"""

import json
import subprocess
from types import SimpleNamespace

import kfp_server_api as api
import pytest

from serving.processes import wait_until
from serving.registry.records import KUBEFLOW_RUN
from serving.registry.runs import Runs
from tests.support.commands import command, end, glocal, last_line
from tests.support.datasets import make_dataset
from tests.support.kubeflow import kubeflow
from tests.support.kubeflow_pods import Cluster, mlflow_server

pytestmark = pytest.mark.integration

SETTINGS = {
    "model.image_size": 64,
    "train.epochs": 2,
    "evaluate.samples": 100,
    "gate.min_recall_at_1": 1,  # nothing is deployed: the gate refuses
    "gate.min_map_at_r": 1,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("kubeflow")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", root / "data.git"], check=True)
    shared = {"GLOCAL_DATA_GIT": f"file://{root}/data.git", "GLOCAL_DATA_REMOTE": str(root / "files")}
    with kubeflow() as server, mlflow_server(root / "mlflow") as mlflow:
        cluster = Cluster(server, root / "cluster", {**shared, "GLOCAL_TRACKING_URI": mlflow})
        here = {
            **shared,
            "GLOCAL_TRACKING_URI": mlflow,
            "GLOCAL_KUBEFLOW_HOST": server.host,
            "GLOCAL_KUBEFLOW_LOOK_S": "0.5",
            "GLOCAL_USER": "ada",
        }
        found = SimpleNamespace(root=root, home=root / "here", server=server, cluster=cluster, mlflow=mlflow, here=here)
        code, out, error = glocal(
            found.home, command("data", "import", make_dataset(root / "drawn"), "--set", "data.split=manifest"), **here
        )
        assert code == 0, error
        found.version = out.strip()
        yield found
        end(cluster.home)
        end(found.home)


def run(world, source, *options, **variables):
    words = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    return glocal(world.home, command("run", source, *words, *options, "--json"), **{**world.here, **variables})


@pytest.fixture(scope="module")
def there(world):
    """A run on Kubeflow: exit code, result, and what the command said."""
    code, out, error = run(world, world.version, "--runner", "kubeflow")
    return code, last_line(out), error


def figures(report):
    return {name: value for name, value in report.items() if name not in {"path", "latency_ms"}}


def test_the_command_shows_the_steps_and_ends_as_a_local_run_does(there):
    code, result, said = there
    assert code == 6, said
    assert result["status"] == "rejected"
    assert [step["name"] for step in result["steps"]] == ["version", "train", "index", "evaluate", "gate", "record"]
    for step in ("version", "train", "gate"):
        assert f"ok      {step}" in said
    assert "epoch" in said or "training" in said


def test_report_decision_and_logs_of_the_steps_are_in_the_runs_folder_here(world, there):
    (folder,) = (world.home / "runs").iterdir()
    assert (folder / "report" / "report.html").is_file()
    assert json.loads((folder / "decision" / "decision.json").read_text())["passed"] is False
    assert "The step ends" in (folder / "train.log").read_text()
    assert json.loads((folder / "result.json").read_text()) == there[1]


def test_the_record_is_one_run_of_who_started_it_with_its_steps(world, there):
    record = Runs(world.mlflow).run(there[1]["run_id"])
    assert (record.user, record.state, record.kind) == ("ada", "rejected", "training")
    assert [step.name for step in record.steps] == ["version", "train", "index", "evaluate", "gate", "record"]
    assert record.params["train.epochs"] == "2"
    assert record.tags[KUBEFLOW_RUN] in world.server.runs
    assert record.data.repo == world.here["GLOCAL_DATA_GIT"]
    assert len([each for each in Runs(world.mlflow).runs() if each.tags.get(KUBEFLOW_RUN)]) == 1


def test_the_local_runner_gives_the_same_figures(world, there):
    code, out, error = run(
        world, world.version, "--runner", "local", GLOCAL_HOME=str(world.root / "local"), GLOCAL_TRACKING_URI=""
    )
    assert code == 6, error
    assert figures(last_line(out)["report"]) == figures(there[1]["report"])
    end(world.root / "local")


def test_the_same_run_again_takes_its_steps_from_the_cache_and_says_so(world, there):
    code, out, said = run(world, world.version, "--runner", "kubeflow")
    assert code == 6, said
    assert [step["name"] for step in last_line(out)["steps"] if step["cached"]] == ["train", "index", "evaluate"]
    assert figures(last_line(out)["report"]) == figures(there[1]["report"])
    assert len(world.server.versions) == 1


def test_a_folder_of_this_machine_is_refused_before_anything_is_started(world):
    before = len(world.server.runs)
    code, _, error = run(world, world.root / "drawn", "--runner", "kubeflow")
    assert code == 2
    assert "do not see" in error
    assert "glocal data import" in error
    assert len(world.server.runs) == before


def test_a_run_from_kubeflows_own_page_with_a_data_sets_name_alone_is_on_record(world, there):
    client = api.ApiClient(api.Configuration(host=world.server.host))
    (version,) = world.server.versions.values()
    (experiment,) = world.server.experiments
    given = api.V2beta1Run(
        experiment_id=experiment,
        display_name="from the page",
        pipeline_version_reference=api.V2beta1PipelineVersionReference(
            pipeline_id=version.pipeline_id, pipeline_version_id=version.pipeline_version_id
        ),
        runtime_config=api.V2beta1RuntimeConfig(parameters={"source": "drawn"}),
    )
    service, runs = api.RunServiceApi(client), Runs(world.mlflow)
    started = service.run_service_create_run(run=given)

    def trains():
        found = runs.tagged(KUBEFLOW_RUN, started.run_id)
        return found and any(step.name == "train" for step in runs.run(found.id).steps)

    wait_until(trains, deadline_s=120)
    service.run_service_terminate_run(run_id=started.run_id)
    record = runs.tagged(KUBEFLOW_RUN, started.run_id)
    assert (record.kind, record.user, record.name) == ("training", "kubeflow", f"glocal-training-{started.run_id[:5]}")
    assert record.data.named == world.version[: len(record.data.named)]

"""A training on several machines, as a TrainJob of Kubeflow Trainer. Its client is real, so are its local backend's processes.

No cluster is at hand: what the client sends is looked at by a server that speaks the part of Kubernetes' API which it uses.
"""

import logging
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from safetensors.torch import load_file

from components.runtime.training import FOLDER, TrainJobs, train_as_ordered
from components.runtime.training_pods import pod_options, resources_of
from model.cluster import Nodes
from model.errors import GlocalError, InvalidInput, Unavailable
from model.training.order import TrainOrder, carry_out
from model.training.processes import launch
from tests.support.datasets import make_dataset
from tests.support.killing import kill_at
from tests.support.train_jobs import RUNTIME, Cluster, local_jobs, serving
from tests.support.training import MD5, MODEL, settings

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


def ordered(dataset, folder, **changes) -> TrainOrder:
    few = {"classes_per_batch": 5, "images_per_class": 5, "nodes": 2, "rerank": "never", **changes}
    train = settings("frozen", **few)
    return TrainOrder(dataset=dataset, model=MODEL, train=train, data_md5=MD5, work=folder / "work", out=folder / "out")


def current(said=None, progress=None):
    """A step that keeps what it is told."""
    said = [] if said is None else said
    return SimpleNamespace(
        progress=progress or (lambda done, total, what: said.append(what)),
        log=logging.getLogger("train"),
        environment=SimpleNamespace(run_id="run", kubeflow_run=""),
    )


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Jobs of two processes each, on this machine."""
    monkeypatch.setenv("PATH", f"{Path(os.sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return local_jobs(tmp_path, 2)


def weights(order):
    return load_file(order.out / "weights.safetensors")


def test_a_job_of_the_local_backend_trains_as_one_process_does(dataset, tmp_path, jobs):
    one = launch(alone := ordered(dataset, tmp_path / "alone", nodes=1))
    said = []
    report = jobs.train(order := ordered(dataset, tmp_path), "run", current(said))
    assert report.validation_map_at_r == pytest.approx(one.validation_map_at_r, abs=1e-4)
    for name, values in weights(alone).items():
        assert (weights(order)[name].float() - values.float()).norm() <= 1e-4 * values.float().norm() + 1e-7, name
    assert [text.partition(":")[0] for text in said if text.startswith("epoch ")] == [f"epoch {n} of 4" for n in range(1, 5)]
    assert not jobs.client.list_jobs(), "the job was removed"
    assert not list((order.work / "training").glob("glocal-*")), "and so was its order"


def test_a_job_that_loses_a_process_is_made_again_and_goes_on(dataset, tmp_path, jobs):
    said, killed = [], []

    def progress(done, total, what):
        said.append(what)
        if what.startswith("epoch 2 ") and not killed:
            ranks = [each for each in psutil.Process().children(recursive=True) if _variable(each, "RANK") == "1"]
            killed.extend(ranks)
            ranks[-1].kill()

    order = ordered(dataset, tmp_path, epochs=60, patience=60)
    report = jobs.train(order, "run", current(progress=progress))
    assert killed
    assert report.epochs_done == 60
    numbers = [int(text.split()[1]) for text in said if text.startswith("epoch ")]
    assert numbers == sorted(set(numbers)), "no epoch was trained twice"


def _variable(process, name) -> str:
    try:
        return process.environ().get(name, "")
    except psutil.Error:
        return ""


def test_an_error_of_the_training_ends_it_at_once(tmp_path, jobs):
    dataset = make_dataset(tmp_path / "data", splits={"train": 1, "test": 2})
    with pytest.raises(InvalidInput, match="at least two classes"):
        jobs.train(ordered(dataset, tmp_path), "run", current())
    assert not jobs.client.list_jobs()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def remote(cluster):
    """Jobs of a cluster that the test speaks for."""
    nodes = Nodes(cluster_volume="home", cluster_gpus=4, cluster_gpu_node_selector={"gpu": "h200"})
    with serving(cluster) as client:
        yield TrainJobs(client, RUNTIME, "glocal/train:1", {"nvidia.com/gpu": 4}, options=pod_options(nodes), look_s=0.05)


def trained(job) -> str:
    """What the job's pods do."""
    carry_out(folder_of(job))
    return "Complete"


def preempted(job) -> str:
    return "Failed"


def folder_of(job) -> Path:
    variables = {each["name"]: each["value"] for each in job["spec"]["trainer"]["env"]}
    return Path(variables[FOLDER])


def test_what_is_sent_to_a_cluster_names_image_machines_gpus_volume_and_nodes(dataset, tmp_path, cluster, remote):
    cluster.states = [trained]
    remote.train(order := ordered(dataset, tmp_path), "run", current())
    (job,) = cluster.made
    trainer = job["spec"]["trainer"]
    assert job["spec"]["runtimeRef"]["name"] == RUNTIME
    assert trainer["image"] == "glocal/train:1"
    assert trainer["numNodes"] == 2
    assert trainer["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": 4}
    assert "torchrun" in trainer["command"][2]
    assert "carry_out" in trainer["command"][2]
    assert folder_of(job).parent == order.work / "training"
    (patch,) = job["spec"]["runtimePatches"]
    (pods,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = pods["template"]["spec"]["template"]["spec"]
    assert {"name": "home", "persistentVolumeClaim": {"claimName": "home"}} in pod["volumes"]
    assert pod["nodeSelector"] == {"gpu": "h200"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["securityContext"]["runAsNonRoot"]
    assert {"name": "home", "mountPath": "/var/lib/glocal"} in pod["containers"][0]["volumeMounts"]
    assert job["spec"]["activeDeadlineSeconds"] == 24 * 3600
    assert cluster.removed == [job["metadata"]["name"]]
    assert order.out.is_dir()


def test_a_job_whose_pods_were_preempted_is_made_again_under_its_name(dataset, tmp_path, cluster, remote):
    cluster.states = [preempted, preempted, trained]
    remote.train(ordered(dataset, tmp_path), "run", current())
    assert len({job["metadata"]["name"] for job in cluster.made}) == 1
    assert len(cluster.made) == 3


def test_a_job_that_fails_again_and_again_ends_it_in_a_line(dataset, tmp_path, cluster, remote):
    cluster.states = [preempted] * 4
    with pytest.raises(GlocalError, match=r"^The TrainJob glocal-\w+ failed 4 times\."):
        remote.train(ordered(dataset, tmp_path), "run", current())
    assert len(cluster.removed) == 4


ORDERED = """
import logging, sys
from pathlib import Path
from types import SimpleNamespace
from components.runtime.training import TrainJobs
from model.training.order import TrainOrder
from tests.support.train_jobs import RUNTIME, client_at
port, order = arguments
step = SimpleNamespace(progress=None, log=logging.getLogger())
TrainJobs(client_at(int(port)), RUNTIME, "", {"cpu": 1}).train(TrainOrder.load(Path(order)), "run", step)
"""


def test_a_killed_step_that_is_tried_again_finds_its_job(dataset, tmp_path, cluster, remote):
    order = ordered(dataset, tmp_path)
    order.save(tmp_path / "order.json")
    cluster.states = [lambda job: "Suspended"]
    port = remote.client.backend.custom_api.api_client.configuration.host.rpartition(":")[2]
    kill_at("components.runtime.training.TrainJobs._states", 1, "before", ORDERED, port, tmp_path / "order.json")
    (job,) = cluster.jobs.values()
    carry_out(folder_of(job))
    job["status"]["conditions"][0]["type"] = "Complete"
    remote.train(order, "run", current())
    assert len(cluster.made) == 1
    assert order.out.is_dir()


def test_errors_of_the_cluster_are_waited_out(dataset, tmp_path, cluster, remote):
    def flaky(job) -> str:
        cluster.failing = 3
        return trained(job)

    cluster.states = [flaky]
    assert remote.train(ordered(dataset, tmp_path), "run", current()).epochs_done == 4


def test_a_cluster_that_does_not_answer_is_said_to_be_that(dataset, tmp_path, cluster, remote):
    cluster.failing = 10**6
    with pytest.raises(Unavailable, match="cannot be looked at"):
        remote.train(ordered(dataset, tmp_path), "run", current())


def test_without_a_cluster_several_machines_are_refused_in_a_line(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidInput, match="needs a cluster"):
        train_as_ordered(ordered(dataset, tmp_path), current())


def test_each_machine_has_a_gpu_or_a_processor_for_each_process(dataset, tmp_path):
    order = ordered(dataset, tmp_path, processes=2, device="auto")
    assert resources_of(order, Nodes()) == {"nvidia.com/gpu": 2, "cpu": "2", "memory": "8Gi"}
    assert resources_of(order, Nodes(cluster_gpus=0)) == {"cpu": 2, "memory": "8Gi"}
    assert resources_of(ordered(dataset, tmp_path, processes=0, device="auto"), Nodes(cluster_gpus=8))["nvidia.com/gpu"] == 8

"""What the compiled files ask of a cluster, beside the files that say so: by default, and with every setting.

After a change that is wanted: GOLDEN=write python -m pytest tests/unit/pipelines/test_nodes.py, and look at the difference.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from model.cluster import Nodes
from pipelines.compiled import PIPELINES, compile_pipeline

GOLDEN = Path(__file__).parents[2] / "fixtures" / "nodes"
EVERYTHING = {
    "GLOCAL_CLUSTER_VOLUME": "",
    "GLOCAL_CLUSTER_CONFIG": "places",
    "GLOCAL_CLUSTER_CONFIG_KEYS": "GLOCAL_TRACKING_URI,GLOCAL_DATA_REMOTE",
    "GLOCAL_CLUSTER_SECRETS": "GLOCAL_DATA_GIT=credentials/git,AWS_SECRET_ACCESS_KEY=credentials/s3",
    "GLOCAL_CLUSTER_PULL_SECRET": "registry",
    "GLOCAL_CLUSTER_PULL_POLICY": "Always",
    "GLOCAL_CLUSTER_NODE_SELECTOR": "pool=batch",
    "GLOCAL_CLUSTER_TOLERATIONS": "batch=yes:NoExecute",
    "GLOCAL_CLUSTER_CPU": "500m",
    "GLOCAL_CLUSTER_MEMORY": "2Gi",
    "GLOCAL_CLUSTER_GPU": "amd.com/gpu",
    "GLOCAL_CLUSTER_GPUS": "2",
    "GLOCAL_CLUSTER_GPU_NODE_SELECTOR": "gpu.example.org/kind=h200, zone=a",
    "GLOCAL_CLUSTER_GPU_TOLERATIONS": "amd.com/gpu, spot:PreferNoSchedule",
    "GLOCAL_CLUSTER_COMPUTE_CPU": "6",
    "GLOCAL_CLUSTER_COMPUTE_MEMORY": "48Gi",
    "GLOCAL_CLUSTER_SHARED_MEMORY": "16Gi",
    "GLOCAL_CLUSTER_MINUTES": "7",
    "GLOCAL_CLUSTER_IMPORT_MINUTES": "8",
    "GLOCAL_CLUSTER_COMPUTE_MINUTES": "9",
    "GLOCAL_CLUSTER_RETRIES": "3",
    "GLOCAL_CLUSTER_BACKOFF_S": "11",
    "GLOCAL_TRAINER_RUNTIME": "torch-large",
}
CODE = "import sys, pathlib, pipelines.compiled as c; c.compile_pipeline(pathlib.Path(sys.argv[1]), sys.argv[2])"


def compiled_with(variables: dict[str, str], folder: Path) -> Path:
    """The training pipeline, compiled by a process with these variables: KFP traces a pipeline when it is imported."""
    file = folder / "pipeline.yaml"
    command = [sys.executable, "-c", CODE, file, "training"]
    subprocess.run(command, env=os.environ | variables, check=True, capture_output=True, timeout=120)
    return file


def asked(compiled: Path) -> dict:
    """What a compiled file asks for each step: its variables, its share of a node, retries, and all that is Kubernetes' own."""
    pipeline, platform = yaml.safe_load_all(compiled.read_text())
    of_kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    dags = [pipeline["root"]["dag"], *(each["dag"] for each in pipeline["components"].values() if "dag" in each)]
    tasks = {task["componentRef"]["name"]: task for dag in dags for task in dag["tasks"].values()}
    found = {}
    for name, component in pipeline["components"].items():
        if executor := component.get("executorLabel"):
            container = pipeline["deploymentSpec"]["executors"][executor]["container"]
            found[name.removeprefix("comp-")] = {
                "variables": container.get("env", []),
                "resources": container.get("resources", {}),
                "retries": tasks[name].get("retryPolicy", {}),
                "kubernetes": of_kubernetes[executor],
            }
    return found


def check(found: dict, name: str) -> None:
    file = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())


@pytest.mark.parametrize("name", ["training", "enrolment"])
def test_by_default_the_steps_ask_for_what_the_files_say(name, tmp_path):
    check(asked(compile_pipeline(tmp_path / "pipeline.yaml", name)), name)


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_every_pipeline_gives_its_steps_the_same_home_places_and_credentials(name, tmp_path):
    found = asked(compile_pipeline(tmp_path / "pipeline.yaml", name))
    for what in ("pvcMount", "configMapAsEnv", "secretAsEnv", "fieldPathAsEnv"):
        assert len({json.dumps(each["kubernetes"][what], sort_keys=True) for each in found.values()}) == 1, what


@pytest.mark.slow
def test_every_setting_is_seen_in_the_compiled_file(tmp_path):
    check(asked(compiled_with(EVERYTHING, tmp_path)), "everything")


@pytest.mark.slow
def test_no_setting_of_the_nodes_is_without_effect():
    assert {f"GLOCAL_{name.upper()}" for name in Nodes.model_fields} == EVERYTHING.keys()
    default, everything = (json.loads((GOLDEN / f"{name}.json").read_text()) for name in ("training", "everything"))
    for step in ("version", "train", "gate"):
        assert default[step]["kubernetes"].keys() ^ everything[step]["kubernetes"].keys()
        assert default[step]["resources"] != everything[step]["resources"]
        assert default[step]["retries"] != everything[step]["retries"]
    text = json.dumps(everything)
    for value in (
        "registry",
        "h200",
        "PreferNoSchedule",
        "NoExecute",
        "batch",
        "16Gi",
        "48Gi",
        "places",
        "credentials",
        "Always",
    ):
        assert value in text


@pytest.mark.slow
def test_steps_without_gpus_run_on_any_node(tmp_path):
    train = asked(compiled_with({"GLOCAL_CLUSTER_GPUS": "0", "GLOCAL_CLUSTER_SHARED_MEMORY": "0"}, tmp_path))["train"]
    assert "accelerator" not in train["resources"]
    assert not {"tolerations", "nodeSelector", "emptyDirMounts"} & train["kubernetes"].keys()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GLOCAL_CLUSTER_NODE_SELECTOR", "pool"),
        ("GLOCAL_CLUSTER_TOLERATIONS", "spot:Never"),
        ("GLOCAL_CLUSTER_SECRETS", "GLOCAL_KEY=glocal"),
        ("GLOCAL_CLUSTER_MEMORY", "much"),
        ("GLOCAL_CLUSTER_GPUS", "-1"),
        ("GLOCAL_CLUSTER_RETRIES", "11"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_name(variable, value, monkeypatch):
    from pydantic import ValidationError

    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as raised:
        Nodes()
    assert raised.value.errors()[0]["loc"] == (variable.removeprefix("GLOCAL_").lower(),)


@pytest.mark.slow
def test_no_secret_and_no_place_is_in_a_compiled_file(tmp_path):
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "hush-1",
        "GLOCAL_MILVUS_TOKEN": "hush-2",
        "GLOCAL_TRACKING_URI": "https://hush-3.example",
    }
    assert "hush" not in compiled_with(secrets, tmp_path).read_text()

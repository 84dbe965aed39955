import os
import subprocess
import sys

import pytest
import yaml

from model.config import RunConfig, parse_config
from pipelines.compiled import compile_pipeline

COMPUTE = {"train", "embed", "index", "evaluate"}
STEPS = COMPUTE | {"version", "gate", "register", "deploy", "smoke-test", "record"}
ALWAYS = {"version", "gate", "register", "deploy", "smoke-test", "record"}
"""What must look at the world anew in each run."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return compile_pipeline(tmp_path_factory.mktemp("compiled") / "pipeline.yaml")


@pytest.fixture(scope="module")
def documents(compiled):
    pipeline, platform = yaml.safe_load_all(compiled.read_text())
    return pipeline, platform


@pytest.fixture(scope="module")
def tasks(documents):
    """Every step's task, by name, wherever it stands."""
    pipeline, _ = documents
    dags = [pipeline["root"]["dag"], *(each["dag"] for each in pipeline["components"].values() if "dag" in each)]
    found = {name: task for dag in dags for name, task in dag["tasks"].items()}
    return {name: task for name, task in found.items() if name in STEPS}


@pytest.fixture(scope="module")
def nodes(documents):
    """What each executor asks of its node."""
    _, platform = documents
    return {
        name.removeprefix("exec-"): asked
        for name, asked in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items()
    }


def containers(documents):
    pipeline, _ = documents
    return {name.removeprefix("exec-"): each["container"] for name, each in pipeline["deploymentSpec"]["executors"].items()}


def test_two_compilations_give_the_same_bytes(compiled, tmp_path):
    assert compile_pipeline(tmp_path / "again.yaml").read_bytes() == compiled.read_bytes()


def test_another_process_with_another_hash_seed_gives_the_same_bytes(compiled, tmp_path):
    code = "import sys; from pathlib import Path; from pipelines.compiled import compile_pipeline as c; c(Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.yaml"], env=environment, check=True, capture_output=True, timeout=120
    )
    assert (tmp_path / "a.yaml").read_bytes() == compiled.read_bytes()


def test_kfp_loads_it(compiled):
    from kfp import components

    loaded = components.load_component_from_file(str(compiled))
    assert loaded.name == "glocal-training"


def test_the_parameters_bear_the_names_of_the_configurations_sections_once_each(documents):
    pipeline, _ = documents
    asked = pipeline["root"]["inputDefinitions"]["parameters"]
    assert set(asked) == {"source", "name", *RunConfig.model_fields, "why", "shards"}


def test_only_the_source_must_be_given_and_every_section_has_its_defaults(documents):
    pipeline, _ = documents
    asked = pipeline["root"]["inputDefinitions"]["parameters"]
    assert [name for name, each in asked.items() if "defaultValue" not in each] == ["source"]
    assert parse_config({name: asked[name]["defaultValue"] for name in RunConfig.model_fields}) == RunConfig()


def test_a_step_takes_a_section_under_the_sections_name(documents):
    pipeline, _ = documents
    for name in STEPS - {"record"}:
        taken = pipeline["components"][f"comp-{name}"]["inputDefinitions"]["parameters"]
        sections = {each for each, kind in taken.items() if kind["parameterType"] == "STRUCT"} - {"pin"}
        assert sections <= set(RunConfig.model_fields), name
        assert sections, name


def test_no_path_of_this_machine_is_in_it(compiled):
    text = compiled.read_text()
    assert os.getcwd() not in text  # noqa: PTH109
    assert sys.prefix not in text


def test_all_steps_are_there(tasks):
    assert set(tasks) == STEPS


def test_only_what_the_inputs_decide_is_cached(tasks):
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached == STEPS - ALWAYS


def test_every_step_is_tried_once_more(tasks):
    for name, task in tasks.items():
        assert task["retryPolicy"]["maxRetryCount"] == 1, name


def test_every_step_has_a_time_limit(nodes):
    limits = {name: int(asked["activeDeadlineSeconds"]) for name, asked in nodes.items()}
    assert set(limits) == STEPS
    assert all(limits[name] == 24 * 3600 for name in COMPUTE)
    assert limits["version"] == 4 * 3600
    assert all(limits[name] == 3600 for name in STEPS - COMPUTE - {"version"})


def test_the_training_asks_for_a_gpu_and_no_other_step(documents, nodes):
    for name, container in containers(documents).items():
        accelerator = container.get("resources", {}).get("accelerator")
        if name == "train":
            assert accelerator["resourceType"] == "nvidia.com/gpu"
            assert accelerator["resourceCount"] == "1"
            assert [each["key"] for each in nodes[name]["tolerations"]] == ["nvidia.com/gpu"]
            assert [each["mountPath"] for each in nodes[name]["emptyDirMounts"]] == ["/dev/shm"]
        else:
            assert accelerator is None
            assert "tolerations" not in nodes[name]


def test_every_step_sees_the_state_and_has_its_secrets_from_a_secret(documents, nodes):
    for name, asked in nodes.items():
        assert [each["mountPath"] for each in asked["pvcMount"]] == ["/var/lib/glocal"], name
        assert asked["secretAsEnv"][0]["optional"] is True
    assert "AWS_SECRET_ACCESS_KEY" not in str(containers(documents))


def test_nothing_is_installed_when_a_step_starts(documents):
    for container in containers(documents).values():
        assert "pip install" not in " ".join(container["command"])
        assert container["image"].startswith("glocal/")


def test_what_follows_the_gate_hangs_on_it_and_the_record_on_nothing(documents):
    pipeline, _ = documents
    text = yaml.safe_dump(pipeline)
    whole = next(each for name, each in pipeline["components"].items() if "exit-handler" in name)
    passed = next(task for name, task in whole["dag"]["tasks"].items() if "condition" in name or "passed" in str(task))
    assert "== true" in passed["triggerPolicy"]["condition"]
    branch = pipeline["components"][passed["componentRef"]["name"]]["dag"]["tasks"]
    assert set(branch) == {"register", "deploy", "smoke-test"}
    record = pipeline["root"]["dag"]["tasks"]["record"]
    assert record["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert "glocal-training" in text

"""The pipelines that change a gallery, compiled."""

import pytest
import yaml

from pipelines.compiled import compile_pipeline

TAIL = {"gate-gallery", "register-gallery", "deploy", "smoke-test", "record"}
STEPS = {"enrolment": TAIL | {"version", "enrol"}, "removal": TAIL | {"remove"}}
REQUIRED = {"enrolment": {"source", "base"}, "removal": {"base"}}


@pytest.fixture(scope="module", params=sorted(STEPS))
def compiled(request, tmp_path_factory):
    """Name, pipeline and tasks by name."""
    file = compile_pipeline(tmp_path_factory.mktemp("compiled") / "pipeline.yaml", request.param)
    pipeline, _ = yaml.safe_load_all(file.read_text())
    dags = [pipeline["root"]["dag"], *(each["dag"] for each in pipeline["components"].values() if "dag" in each)]
    return request.param, pipeline, {name: task for dag in dags for name, task in dag["tasks"].items()}


def test_all_steps_are_there_and_none_is_taken_from_the_cache(compiled):
    name, pipeline, tasks = compiled
    assert STEPS[name] == {
        step for step in tasks if f"comp-{step}" in pipeline["components"] and "dag" not in pipeline["components"][f"comp-{step}"]
    }
    assert not any(tasks[step]["cachingOptions"].get("enableCache") for step in STEPS[name])
    assert all(tasks[step]["retryPolicy"]["maxRetryCount"] == 1 for step in STEPS[name])


def test_what_must_be_given_has_no_default(compiled):
    name, pipeline, _ = compiled
    asked = pipeline["root"]["inputDefinitions"]["parameters"]
    assert {each for each, kind in asked.items() if "defaultValue" not in kind} == REQUIRED[name]


def test_nothing_is_registered_or_deployed_unless_the_gate_was_passed(compiled):
    _, pipeline, _ = compiled
    branches = {
        task["triggerPolicy"]["condition"]: set(pipeline["components"][task["componentRef"]["name"]]["dag"]["tasks"])
        for each in pipeline["components"].values()
        for task in each.get("dag", {}).get("tasks", {}).values()
        if "condition" in task.get("triggerPolicy", {})
    }
    assert {"register-gallery", "deploy", "smoke-test"} in branches.values()
    assert all("== true" in condition for condition in branches)


def test_an_enrolments_images_are_never_trained_on(compiled):
    name, pipeline, _ = compiled
    if name == "enrolment":
        assert pipeline["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"]["split"] == "gallery"

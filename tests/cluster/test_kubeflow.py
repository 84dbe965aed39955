"""The whole main job on a live cluster, beside the local runner: `make e2e-kubeflow`. Each test needs the ones before.

It makes a data set and a model of a name that nobody has. The endpoint serves that model while it runs, and afterwards.
"""

import json
import os

import pytest

from model.demo.catalogue import draw_catalogue
from serving.registry.records import KUBEFLOW_RUN
from serving.registry.runs import Runs

STEPS = ["version", "train", "index", "evaluate", "gate", "register", "deploy", "smoke-test", "record"]
SETTINGS = {"evaluate.samples": 200, "gate.min_gain_over_untrained": -1, "gate.max_regression": 1, "gate.max_group_regression": 1}
"""What passes the gate whatever so few images teach."""
TOLERANCE = float(os.environ.get("GLOCAL_E2E_TOLERANCE", "0.03"))
"""Largest difference of a figure between the cluster and this machine; 0 is right where both have the same processors."""


def settings(**changes):
    given = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    return [word for key, value in given.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    draw_catalogue(folder, products=24, views=8, scenes=2, size=128, seed=12)
    return folder


@pytest.fixture(scope="module")
def version(ask, catalogue, name):
    """The data, imported here and shared by the git repository and the remote."""
    return ask("data", "import", catalogue, "--name", name, GLOCAL_SERVER="")


@pytest.fixture(scope="module")
def first(ask, version):
    words = ("run", version, *settings(), "--runner", "kubeflow", "--why", "make e2e-kubeflow", "--json")
    return json.loads(ask(*words, GLOCAL_SERVER=""))


@pytest.fixture(scope="module")
def second(ask, version, first):
    words = (
        "run",
        version,
        *settings(train__seed=1, gate__approval="required", gate__own_approval="true"),
        "--runner",
        "kubeflow",
    )
    return json.loads(ask(*words, "--json", GLOCAL_SERVER=""))


def served(ask, catalogue, name):
    """The version that answers a query, and what it finds."""
    found = json.loads(ask("query", catalogue / "query.jpg", "--name", name, "--json", GLOCAL_SERVER=""))
    return found["model_version"]


def test_a_run_trains_passes_the_gate_registers_and_deploys(first, seen):
    assert first["status"] == "succeeded"
    assert [step["name"] for step in first["steps"]] == STEPS
    assert (first["model_version"], first["alias"]) == ("1", "champion")
    seen.extend((f"step {step['name']}", f"{step['seconds']:.0f} s") for step in first["steps"])


def test_its_record_names_the_run_in_kubeflow_and_has_every_step(first, cluster):
    record = Runs(cluster["GLOCAL_TRACKING_URI"]).run(first["run_id"])
    assert record.tags[KUBEFLOW_RUN]
    assert [step.name for step in record.steps if step.state == "succeeded"] == STEPS


def test_the_endpoint_answers_with_the_version(ask, first, catalogue, name):
    assert served(ask, catalogue, name) == "1"


def test_the_local_runner_gives_the_same_figures(ask, first, version, seen, tmp_path_factory):
    here = {
        "GLOCAL_SERVER": "",
        "GLOCAL_TRACKING_URI": "",
        "GLOCAL_BACKEND": "torchserve",
        "GLOCAL_ENDPOINT": "",
        "GLOCAL_KEY": "",
    }
    words = ("run", version, *settings(gate__min_recall_at_1=1, gate__min_map_at_r=1), "--runner", "local", "--json")
    local = json.loads(ask(*words, exit_code=6, here=tmp_path_factory.mktemp("local") / "home", **here))
    assert local["data"]["md5"] == first["data"]["md5"]
    for figure in ("recall_at_1", "map_at_r"):
        seen.append((f"{figure}: cluster, here", f"{first['report'][figure]:.4f}, {local['report'][figure]:.4f}"))
        assert first["report"][figure] == pytest.approx(local["report"][figure], abs=TOLERANCE)
        untrained = [body["report"]["untrained"][figure] for body in (first, local)]
        assert untrained[0] == pytest.approx(untrained[1], abs=TOLERANCE)


def test_what_needs_an_approval_waits_for_it_and_then_serves(ask, second, catalogue, name):
    assert (second["status"], second["model_version"]) == ("awaiting", "2")
    assert served(ask, catalogue, name) == "1"
    ask("approve", "2", "--name", name, "--why", "make e2e-kubeflow", "--yes", "--json")
    assert served(ask, catalogue, name) == "2"


def test_a_rollback_and_a_promotion_change_what_answers(ask, second, catalogue, name, seen):
    ask("rollback", "--name", name, "--why", "make e2e-kubeflow", "--yes", "--json")
    assert served(ask, catalogue, name) == "1"
    ask("promote", "2", "--name", name, "--why", "make e2e-kubeflow", "--yes", "--json")
    assert served(ask, catalogue, name) == "2"
    seen.append(("served in turn", "1, 2 (approved), 1 (rolled back), 2 (promoted)"))


def test_a_schedule_is_kept_by_kubeflows_clock_and_removed(ask, version, name):
    words = (name, version, "--crontab", "0 3 1 1 *", "--runner", "kubeflow", "--json")
    ask("schedule", "add", *words, GLOCAL_SERVER="")
    listed = json.loads(ask("schedule", "list", "--runner", "kubeflow", "--json", GLOCAL_SERVER=""))
    assert name in [each["schedule"]["id"] for each in listed["schedules"]]
    ask("schedule", "remove", name, "--runner", "kubeflow", "--json", GLOCAL_SERVER="")

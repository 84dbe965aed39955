"""A step in a pod of Kubeflow, whose variables say which run it belongs to."""

import os

import pytest

from components.runtime.events import parse_events, read_events
from components.runtime.run_record import close_run, record_settings
from components.runtime.step import step
from model.config import RunConfig
from model.environment import Environment
from model.errors import InvalidInput
from serving.registry.records import EVENTS, KUBEFLOW_RUN, LOGS
from serving.registry.runs import Runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('records')}/mlflow.db"


@pytest.fixture(scope="module")
def runs(uri):
    return Runs(uri)


@pytest.fixture
def pod(run_folder, uri, monkeypatch, request):
    """The variables of a pod; the id of its run in Kubeflow is the test's name."""
    for name in ("GLOCAL_RUN_FOLDER", "GLOCAL_USER"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GLOCAL_RUN_ID", "GLOCAL_RUN_FOLDER", "GLOCAL_USER"):  # what a step sets is forgotten after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("GLOCAL_TRACKING_URI", uri)
    monkeypatch.setenv("GLOCAL_KUBEFLOW_RUN", request.node.name)
    monkeypatch.setenv("GLOCAL_KUBEFLOW_WORKFLOW", "glocal-training-x7k2p")
    return request.node.name


def another_pod(monkeypatch):
    for name in ("GLOCAL_RUN_ID", "GLOCAL_RUN_FOLDER", "GLOCAL_USER"):
        monkeypatch.delenv(name, raising=False)


def said(runs, run_id):
    return [
        (event.step, event.event)
        for name in sorted(runs.texts(run_id, EVENTS, {}))
        for event in parse_events(runs.texts(run_id, EVENTS, {})[name].encode())
    ]


def test_a_step_of_a_run_that_was_started_by_us_takes_its_record_and_who_started_it(pod, runs):
    run_id = runs.start_run("demo", None, {KUBEFLOW_RUN: pod, "mlflow.user": "ada"})
    with step("version") as current:
        assert (current.environment.run_id, current.environment.user) == (run_id, "ada")
    assert [each.name for each in runs.run(run_id).steps] == ["version"]


def test_the_first_step_of_a_run_that_nobody_recorded_makes_the_record_and_the_next_takes_it(pod, runs, monkeypatch):
    with step("version"):
        pass
    another_pod(monkeypatch)
    with step("train"):
        pass
    record = runs.tagged(KUBEFLOW_RUN, pod)
    assert (record.name, record.kind, record.user) == ("glocal-training-x7k2p", "training", "kubeflow")
    assert [each.name for each in runs.run(record.id).steps] == ["version", "train"]


def test_a_volume_that_is_new_is_taken(pod, runs):
    with step("version") as current:
        assert current.environment.run_folder.parent == current.environment.home.runs
    assert Environment().home.marker.is_file()


def test_its_events_and_its_log_are_kept_with_the_record_and_in_the_home(pod, runs, monkeypatch):
    with step("version") as current:
        for done in range(3):
            current.emit("progress", text=f"{done} of 3")
        current.warn("a leak")
    another_pod(monkeypatch)
    with pytest.raises(InvalidInput), step("train"):
        raise InvalidInput("The data are gone.")
    record = runs.tagged(KUBEFLOW_RUN, pod)
    assert said(runs, record.id) == [
        ("version", "started"),
        ("version", "progress"),  # the latest of three
        ("version", "warning"),
        ("version", "finished"),
        ("train", "started"),
        ("train", "failed"),
    ]
    logs = runs.texts(record.id, LOGS, {})
    assert "a leak" in logs["logs/version.log"]
    assert "The data are gone." in logs["logs/train.log"]
    folder = Environment().home.runs / pod.replace("[", "_").replace("]", "_")
    assert [event.event for event in read_events(folder)[0]].count("progress") == 3


def test_texts_that_did_not_grow_are_not_read_again(pod, runs):
    run_id = runs.start_run("demo")
    runs.log_text(run_id, "one\n", f"{EVENTS}/1.jsonl")
    runs.log_text(run_id, "two\n", f"{EVENTS}/2.jsonl")
    assert runs.texts(run_id, EVENTS, {f"{EVENTS}/1.jsonl": 4}) == {f"{EVENTS}/2.jsonl": "two\n"}
    assert runs.texts(run_id, "nothing", {}) == {}


def test_a_record_that_cannot_be_reached_fails_the_step_with_a_reason_and_may_be_tried_again(pod, monkeypatch):
    monkeypatch.setenv("GLOCAL_TRACKING_URI", "sqlite:////nowhere/at/all/mlflow.db")
    with pytest.raises(Exception, match="cannot be opened"), step("version"):
        raise AssertionError("it began")


def test_outside_of_kubeflow_nothing_is_kept(run_folder, monkeypatch):
    monkeypatch.delenv("GLOCAL_KUBEFLOW_RUN", raising=False)
    with step("version") as current:
        current.warn("a leak")
    assert "GLOCAL_RUN_ID" not in os.environ


def test_the_settings_of_a_run_from_kubeflows_page_are_recorded_and_those_on_record_stay(pod, runs):
    run_id = runs.start_run("demo", {"train.epochs": "5"})
    environment = Environment(run_id=run_id)
    record_settings(environment, "photos@0123abc", "", {"train": {"epochs": 3.0, "seed": 4.0}})
    params = runs.run(run_id).params
    assert (params["train.epochs"], params["train.seed"]) == ("5", "4")
    assert (params["source"], params["name"]) == ("photos@0123abc", "photos")
    assert params["gate.level"] == str(RunConfig().gate.level)


@pytest.mark.parametrize(
    ("state", "failed", "recorded"),
    [
        ("SUCCEEDED", False, "succeeded"),
        ("COMPLETE", False, "succeeded"),  # Kubeflow's word for it
        ("FAILED", False, "failed"),
        ("CANCELED", False, "failed"),
        ("RUNNING", False, "succeeded"),  # the exit handler is asked before the rest is said to be over
        ("RUNNING", True, "failed"),
        ("", True, "failed"),
    ],
)
def test_the_record_is_closed_as_the_run_ended_in_whichever_words(pod, runs, state, failed, recorded):
    run_id = runs.start_run("demo")
    first = runs.start_step(run_id, "version")
    runs.fail(first, "The remote is away.")
    again = runs.start_step(run_id, "version")
    if failed:
        runs.fail(again, "The remote is away.")
    else:
        runs.finish(again)
    runs.start_step(run_id, "record")
    close_run(Environment(run_id=run_id), state, "")
    assert runs.run(run_id).state == recorded

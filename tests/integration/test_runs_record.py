"""The record of runs in a real MLflow on SQLite: what is written is read back, by us and through MLflow's own page."""

import os
import socket
import subprocess
import sys
from datetime import datetime

import httpx
import pytest
from mlflow import MlflowClient

from components.runtime.run_record import record_training
from model.config import load_config
from model.environment import Environment
from model.errors import InvalidInput, NotFound, Unavailable
from model.schemas.run_record import Failure
from model.schemas.training_gain import TrainingGain
from pipelines.provenance import run_name, run_params, run_tags
from pipelines.queue.again import again
from pipelines.step_reasons import step_reasons
from serving.processes import wait_until
from serving.registry.commit import code_commit
from serving.registry.records import KIND
from serving.registry.runs import LOSS, VALIDATION, Runs
from tests.support.records import curve
from tests.support.releases import make_pin
from tests.support.reports import make_training

pytestmark = pytest.mark.integration

TRAINING = make_training(0.5, 0.75, 0.625, best=1)
GAIN = TrainingGain.of(TRAINING)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def uri(home):
    return f"sqlite:///{home}/mlflow.db"


@pytest.fixture(scope="module")
def runs(uri):
    return Runs(uri)


@pytest.fixture
def begun(runs):
    return runs.start_run("demo")


@pytest.fixture(scope="module")
def whole(runs, home):
    """A run as the pipeline records it, registered and deployed."""
    config = load_config(None, ["train.epochs=2", "data.licence=CC BY 4.0"])
    name = run_name("grocery", config, datetime(2026, 11, 25, 4, 50))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOCAL_USER", "ann")
        tags = run_tags(home / "runs" / "1", "spring", "training", "glocal run")
    run_id = runs.start_run(name, run_params("/images", "grocery", config), tags)
    step = runs.start_step(run_id, "train")
    for each in (run_id, step):
        runs.log_dataset(each, make_pin(path="grocery"))
        runs.log_training(each, TRAINING)
    runs.log_training(run_id, TRAINING)  # the gate records it again
    runs.finish(step)
    (home / "report").mkdir()
    (home / "report" / "report.html").write_text("<h1>Report</h1>")
    runs.log_file(run_id, home / "report", "report")
    runs.log(run_id, {"map_at_r": 0.5, "nothing": float("nan")}, {"model": "grocery", "model_version": 3, "passed": True})
    runs.log(run_id, tags={"address": "http://127.0.0.1:8080"})
    runs.close(run_id, succeeded=True)
    return run_id


def test_every_setting_of_a_run_is_a_parameter(runs, whole):
    params = runs.run(whole).params
    assert params["train.epochs"] == "2"
    assert params["data.licence"] == "CC BY 4.0"
    assert (params["source"], params["name"]) == ("/images", "grocery")
    config = load_config().model_dump()
    assert {f"{section}.{key}" for section, keys in config.items() for key in keys} <= set(params)


def test_a_run_says_who_made_it_of_what_and_what_it_came_to(runs, whole):
    record = runs.run(whole)
    assert record.name == "grocery multi_head 2026-11-25 04:50"
    assert (record.kind, record.state, record.user, record.why) == ("training", "succeeded", "ann", "spring")
    assert (record.model, record.model_version, record.address) == ("grocery", "3", "http://127.0.0.1:8080")
    assert record.data == make_pin(path="grocery")
    assert record.training == GAIN
    assert record.failure is None
    assert record.code_revision
    assert record.git_commit == code_commit()
    assert record.started <= record.ended
    assert [(step.name, step.state) for step in record.steps] == [("train", "succeeded")]


def test_a_figure_that_is_no_number_is_not_read_back(runs, whole):
    assert runs.run(whole).metrics["map_at_r"] == 0.5
    assert "nothing" not in runs.run(whole).metrics


def test_loss_and_validation_are_curves_by_epoch_on_the_run_and_on_the_step_and_stand_there_once(uri, runs, whole):
    for run_id in (whole, runs.run(whole).steps[0].id):
        assert curve(uri, run_id, VALIDATION) == [(0, 0.5), (1, 0.75), (2, 0.625)]
        assert curve(uri, run_id, LOSS) == [(1, 1.0), (2, 0.5)]


def test_a_history_of_many_epochs_is_recorded_whole(uri, runs, begun):
    runs.log_training(begun, make_training(*[0.5] * 120, best=0))
    assert [epoch for epoch, _ in curve(uri, begun, VALIDATION)] == list(range(120))


def test_the_gain_is_on_record_by_its_parts(runs, whole):
    metrics = runs.run(whole).metrics
    assert (metrics["gain_of_init"], metrics["gain_of_training"]) == (pytest.approx(0.4), 0.25)


def test_without_held_out_classes_there_is_no_curve_of_zeros(uri, runs, begun):
    runs.log_training(begun, make_training(0.0, best=0, validation_classes=0, validation_images=0))
    assert curve(uri, begun, VALIDATION) == []
    assert "gain_of_init" not in runs.run(begun).metrics


def test_mlflow_reads_the_data_set_as_its_own(whole, uri):
    from mlflow.data import get_source

    (given,) = MlflowClient(uri).get_run(whole).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("grocery", "d" * 32)
    assert get_source(given).uri == make_pin().repo


def test_a_failed_run_carries_the_headline_the_hint_and_the_step_and_not_what_the_platform_says(runs, begun):
    step = runs.start_step(begun, "train")
    runs.fail(step, "The loss is no longer finite in epoch 3.", "Lower train.learning_rates.")
    runs.close(begun, succeeded=False, headline="Task train failed.")
    record = runs.run(begun)
    failure = Failure(step="train", headline="The loss is no longer finite in epoch 3.", hint="Lower train.learning_rates.")
    assert (record.state, record.failure) == ("failed", failure)
    assert (record.steps[0].state, record.steps[0].failure) == ("failed", failure)


def test_a_run_that_failed_outside_its_steps_says_what_is_known(runs, begun):
    runs.close(begun, succeeded=False, headline="The runner stopped.")
    assert runs.run(begun).failure == Failure(step="", headline="The runner stopped.")


def test_a_step_that_succeeded_at_the_second_attempt_leaves_no_failure(runs, begun):
    runs.fail(runs.start_step(begun, "train"), "The store does not answer.")
    runs.finish(runs.start_step(begun, "train"))
    runs.close(begun, succeeded=True)
    assert (runs.run(begun).state, runs.run(begun).failure) == ("succeeded", None)


def test_a_refused_run_says_so_with_the_sentences_of_the_gate(runs, begun, uri):
    runs.log(begun, tags={"passed": "False", "refused": "MAP@R is too low.\nA query takes too long."})
    runs.close(begun, succeeded=True)
    assert runs.run(begun).state == "rejected"
    assert runs.run(begun).refused == ("MAP@R is too low.", "A query takes too long.")
    said = MlflowClient(uri).get_run(begun).data.tags["mlflow.note.content"]
    assert "Refused by the gate" in said
    assert "- MAP@R is too low.\n- A query takes too long." in said


def test_a_killed_run_and_the_step_it_was_in_are_killed_and_what_had_ended_stays(runs, begun):
    done, cut = runs.start_step(begun, "version"), runs.start_step(begun, "train")
    runs.finish(done)
    runs.kill(begun)
    record = runs.run(begun)
    assert record.state == "killed"
    assert {step.id: step.state for step in record.steps} == {done: "succeeded", cut: "killed"}


def test_a_run_under_way_has_not_ended(runs, begun):
    assert (runs.run(begun).state, runs.run(begun).ended) == ("running", None)


def test_the_latest_runs_come_first_and_steps_are_none_of_them(runs, whole):
    first, second = runs.start_run("first"), runs.start_run("second")
    runs.start_step(second, "train")
    latest = runs.runs(2)
    assert {record.id for record in latest} == {first, second}
    assert len(runs.runs(1)) == 1


def test_a_run_that_is_not_there_is_not_found(runs):
    for act in (runs.run, runs.kill):
        with pytest.raises(NotFound):
            act("none")


@pytest.mark.parametrize("address", ["postgresql://ann:secret@127.0.0.1:1/runs", "http://ann:secret@127.0.0.1:1"])
def test_a_password_in_the_address_of_a_store_is_in_no_error(address):
    with pytest.raises(Unavailable) as error:
        Runs(address)
    assert "secret" not in str(error.value)


@pytest.fixture(scope="module")
def page(uri, whole, tmp_path_factory):
    """MLflow's own page with its defaults, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    log = (elsewhere / "log").open("w")
    process = subprocess.Popen(words, cwd=elsewhere, stdout=log, stderr=log, start_new_session=True, env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            assert wait_until(lambda: process.poll() is not None or _answers(client), deadline_s=120)
            yield client
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        log.close()


def _answers(client):
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def test_mlflows_page_shows_a_run_with_its_curves_and_opens_its_report(page, whole):
    found = page.get("/api/2.0/mlflow/runs/get", params={"run_id": whole}).json()["run"]
    assert found["info"]["run_name"] == "grocery multi_head 2026-11-25 04:50"
    tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    assert (tags["glocal.kind"], tags["mlflow.user"], tags["mlflow.source.name"]) == ("training", "ann", "glocal run")
    assert found["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "grocery"
    curve = page.get("/api/2.0/mlflow/metrics/get-history", params={"run_id": whole, "metric_key": VALIDATION}).json()
    assert [(point.get("step", 0), point["value"]) for point in curve["metrics"]] == [(0, 0.5), (1, 0.75), (2, 0.625)]
    report = page.get("/get-artifact", params={"run_uuid": whole, "path": "report/report.html"})
    assert (report.status_code, report.text) == (200, "<h1>Report</h1>")


def test_mlflows_page_opens_at_runs_and_not_at_traces_of_language_models(page):
    found = page.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "glocal"}).json()
    tags = {tag["key"]: tag["value"] for tag in found["experiment"]["tags"]}
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_run_that_took_its_training_from_the_cache_has_it_on_record_from_the_gate(runs, begun, uri, home):
    environment = Environment(home=home, tracking_uri=uri, run_id=begun)
    runs.start_step(begun, "gate")
    record_training(environment, TRAINING)
    record = runs.run(begun)
    assert record.training == GAIN
    assert [value for _, value in curve(uri, begun, VALIDATION)] == [0.5, 0.75, 0.625]
    assert curve(uri, record.steps[0].id, VALIDATION) == []
    record_training(environment, TRAINING, runs.start_step(begun, "train"))
    assert [len(curve(uri, each, VALIDATION)) for each in (begun, runs.run(begun).steps[1].id)] == [3, 3]


def test_a_run_of_other_code_is_ordered_again_with_the_settings_that_this_code_has(runs, tmp_path):
    config = load_config(None, ["train.epochs=7", "train.learning_rates=[0.01]", "serve.replace_other_data=true"])
    params = run_params(str(tmp_path / "shop"), "shop", config) | {"data.licence": "2024: all", "train.start": "random"}
    run_id = runs.start_run("old", params | {"model.method": "gone"}, {KIND: "training", "why": "spring"})
    found = again(runs, run_id)
    assert (found.source, found.name, found.why) == (str(tmp_path / "shop"), "", "spring")
    train = {"epochs": 7, "learning_rates": [0.01]}
    assert found.settings == {"train": train, "serve": {"replace_other_data": True}, "data": {"licence": "2024: all"}}
    assert found.dropped == {"train.start": "random", "model.method": "gone"}
    assert again(runs, runs.start_run("named", params | {"name": "other"}, {KIND: "training"})).name == "other"


def test_a_run_that_is_no_training_is_not_ordered_again(runs):
    with pytest.raises(InvalidInput, match="is no training"):
        again(runs, runs.start_run("other", {"name": "x"}, {KIND: "removal"}))


def test_why_a_step_ran_is_told_from_the_record_alone_once_the_runs_folder_is_gone(runs, tmp_path):
    def train(*steps, **changed):
        params = run_params("/images", "reasoned", load_config(None, [f"train.epochs={changed.get('epochs', 3)}"]))
        tags = run_tags(tmp_path / "gone", "", "training", "glocal run")
        run_id = runs.start_run(f"with {len(steps)} steps", params, tags)
        for name in steps:
            runs.finish(runs.start_step(run_id, name))
        runs.close(run_id, succeeded=True)
        return run_id

    train("version", "train", "index", "evaluate", "gate", "record")
    same = train("version", "gate", "record")
    told = {reason.step: (reason.ran, reason.why) for reason in step_reasons(runs, runs.run(same))}
    assert {name for name, (ran, _) in told.items() if not ran} == {"train", "index", "evaluate"}
    assert told["train"][1] == "Data, settings and code are those of with 6 steps, whose result was taken."
    other = train("version", "train", "index", "evaluate", "gate", "record", epochs=4)
    told = {reason.step: reason.why for reason in step_reasons(runs, runs.run(other))}
    assert told["train"] == "Since the last run of these data, with 3 steps: train.epochs is 4, and was 3."
    assert told["index"] == "Since the last run of these data, with 3 steps: train runs, whose result it takes."

"""A run on Kubeflow as it is followed from here: the server speaks its API, and a script plays the steps in their pods.

The record of runs is a database of this machine, which the runner refuses outside of these tests.
"""

import threading
import time

import pytest

from components.runtime.events import read_events
from model.environment import Environment
from model.errors import InvalidInput, Unauthorized, Unavailable
from model.files import read_json
from model.home import Home
from model.schemas.run_event import RunEvent
from pipelines import killed_runs
from pipelines.killed_runs import close_killed_runs
from pipelines.run_folder import RunFolder
from pipelines.runners import kubeflow as runner
from pipelines.running import RunSpec, pipeline_arguments, run_pipeline
from serving.registry.records import KUBEFLOW_RUN
from serving.registry.runs import Runs
from tests.support.kubeflow import kubeflow, refused

pytestmark = pytest.mark.slow
ARGUMENTS = {"source": "photos@0123abc"}


class Pods:
    """What happens in the cluster: a script that is played once the run was started.

    Args:
        server: Kubeflow.
        runs: The record of runs.
    """

    def __init__(self, server, runs):
        self.server, self.runs, self.run = server, runs, None
        self._clock = time.time()
        server.started = self._begin

    def play(self, script):
        """Play a script, called with these pods, in every run that is started from now on."""
        self._script = script

    def _begin(self, run, _spec):
        self.run = run
        threading.Thread(target=self._script, args=(self,), daemon=True).start()

    def say(self, step, *events, name=None):
        """Let a step keep events with the record, as its pod does."""
        record = self._record()
        made = []
        for event, more in events:
            self._clock += 1
            made.append(RunEvent(step=step, event=event, at=self._clock, **more))
        text = b"".join(each.to_line() for each in made).decode()
        self.runs.log_text(record, text, f"events/{name or time.time_ns()}.jsonl")

    def keep(self, text, name):
        self.runs.log_text(self._record(), text, name)

    def task(self, *arguments, **named):
        self.server.task(self.run.run_id, *arguments, **named)

    def end(self, *arguments):
        self.server.end(self.run.run_id, *arguments)

    def _record(self):
        """The run's record, by the tag that the client gives it after the start."""
        while not (found := self.runs.tagged(KUBEFLOW_RUN, self.run.run_id)):
            time.sleep(0.02)
        return found.id


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The record of runs, which takes seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('records')}/mlflow.db"


@pytest.fixture
def world(tmp_path, monkeypatch, records):
    """A Kubeflow with its pods, and an environment whose runs are executed there."""
    home = Home.at(tmp_path / "home")
    monkeypatch.setenv("GLOCAL_HOME", str(home.root))
    for name in ("GLOCAL_RUN_ID", "GLOCAL_RUN_FOLDER", "GLOCAL_TRACKING_URI", "GLOCAL_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runner, "refuse_local_records", lambda environment: None)
    monkeypatch.setattr(runner, "_SILENT_S", 0.2)
    monkeypatch.setattr(killed_runs, "_asked", {})
    monkeypatch.setenv("GLOCAL_KUBEFLOW_LOOK_S", "0.05")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_TIMEOUT_S", "5")
    with kubeflow() as server:
        monkeypatch.setenv("GLOCAL_KUBEFLOW_HOST", server.host)
        environment = Environment(home=home, runner="kubeflow", tracking_uri=records)
        home.root.mkdir()
        (home.root / ".glocal-home").touch()
        yield server, Pods(server, Runs(environment.mlflow_uri)), environment


def run(environment, listener=lambda event: None, **changes):
    given = {
        "pipeline": "training",
        "arguments": ARGUMENTS,
        "title": "photos multi_head",
        "params": {"name": "photos"},
        "command": "glocal run",
        "why": "a test",
    }
    return run_pipeline(RunSpec(**{**given, **changes}), environment=environment, listener=listener)


def shown(events):
    return [(each.step, each.event) for each in events]


def the_record(pods, environment):
    return pods.runs.run(read_json(the_folder(environment) / "run.json")["run_id"])


def the_folder(environment):
    (folder,) = environment.home.runs.iterdir()
    return folder


def test_the_events_of_the_steps_are_told_once_each_as_a_local_run_tells_them(world):
    _, pods, environment = world

    def script(pods):
        pods.task("version", "RUNNING")
        pods.say("version", ("started", {}), ("progress", {"text": "1 of 3"}), name=1)
        time.sleep(0.3)
        pods._clock -= 1
        pods.say(
            "version", ("progress", {"text": "3 of 3"}), ("warning", {"text": "a leak"}), ("finished", {"seconds": 2}), name=1
        )
        pods.task("version", "SUCCEEDED")
        pods.say("record", ("started", {}), ("finished", {"seconds": 1}))
        pods.keep("the log of version", "logs/version.log")
        pods.task("record", "SUCCEEDED")
        pods.runs.close(pods._record(), succeeded=True)
        pods.end("SUCCEEDED")

    pods.play(script)
    events = []
    result = run(environment, events.append)
    told = shown(events)
    assert told[0] == ("version", "started")
    assert told.count(("version", "started")) == told.count(("version", "finished")) == 1
    assert ("version", "warning") in told
    assert told[-1] == ("record", "finished")
    assert result.status == "succeeded"
    assert [(step.name, step.seconds) for step in result.steps] == [("version", 2), ("record", 1)]
    folder = the_folder(environment)
    assert shown(read_events(folder)[0]) == told
    assert (folder / "version.log").read_text() == "the log of version"
    assert environment.home.runs.exists()


def test_kubeflow_is_given_the_version_of_the_compiled_file_with_parameters_and_settings(world, monkeypatch):
    server, pods, environment = world
    monkeypatch.setenv("GLOCAL_KUBEFLOW_EXPERIMENT", "team-a")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_SERVICE_ACCOUNT", "glocal-steps")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_PIPELINE_ROOT", "s3://bucket/runs")
    pods.play(lambda pods: pods.end("SUCCEEDED"))
    result = run(environment)
    (given,) = server.runs.values()
    assert given.service_account == "glocal-steps"
    assert given.runtime_config.pipeline_root == "s3://bucket/runs"
    assert given.runtime_config.parameters == ARGUMENTS
    assert server.experiments[given.experiment_id].display_name == "team-a"
    assert (
        server.specs[given.pipeline_version_reference.pipeline_version_id]
        == (the_folder(environment) / "pipeline.yaml").read_text()
    )
    record = pods.runs.run(result.run_id)
    assert record.tags[KUBEFLOW_RUN] == given.run_id
    assert record.id[:8] in given.display_name


def test_a_step_of_which_kubeflow_alone_speaks_was_cached_or_its_pod_did_not_begin(world):
    _, pods, environment = world

    def script(pods):
        pods.task("train", "SUCCEEDED")
        pods.task("index", "FAILED", "Back-off pulling image registry/glocal:1")
        pods.task("evaluate", "SKIPPED")
        pods.end("FAILED")

    pods.play(script)
    events = []
    result = run(environment, events.append)
    assert shown(events) == [("train", "cached"), ("index", "failed")]
    assert (result.status, result.error.step) == ("failed", "index")
    assert result.error.headline == "Back-off pulling image registry/glocal:1"
    assert pods.runs.run(result.run_id).state == "failed"


def test_a_step_that_failed_says_so_itself_and_is_heard_once(world):
    _, pods, environment = world

    def script(pods):
        pods.say("train", ("started", {}), ("failed", {"headline": "The loss diverges.", "hint": "Lower it.", "exit_code": 1}))
        pods.task("train", "FAILED", "main: Error (exit code 1)")
        time.sleep(0.5)
        pods.end("FAILED", "child 'train' failed")

    pods.play(script)
    events = []
    result = run(environment, events.append)
    assert shown(events) == [("train", "started"), ("train", "failed")]
    assert (result.error.headline, result.error.hint) == ("The loss diverges.", "Lower it.")


def test_a_run_whose_exit_handler_alone_succeeded_has_failed_whatever_kubeflow_says(world):
    _, pods, environment = world

    def script(pods):
        pods.say("train", ("started", {}), ("failed", {"headline": "The loss diverges."}))
        pods.say("record", ("started", {}), ("finished", {"seconds": 1}))
        pods.end("SUCCEEDED")  # as versions of Kubeflow without lifecycle hooks do

    pods.play(script)
    result = run(environment)
    assert (result.status, result.error.headline) == ("failed", "The loss diverges.")


def test_a_pod_that_was_killed_without_a_word_is_a_failure_that_says_what_kubeflow_says(world):
    _, pods, environment = world

    def script(pods):
        pods.say("train", ("started", {}), ("progress", {"text": "epoch 1"}))
        pods.task("train", "FAILED", "OOMKilled (exit code 137)")
        pods.end("FAILED")

    pods.play(script)
    result = run(environment)
    assert result.error.headline == "OOMKilled (exit code 137)"
    assert "kubectl" in result.error.hint


def test_a_step_that_was_tried_again_ends_as_its_last_attempt_did(world):
    _, pods, environment = world

    def script(pods):
        pods.say("train", ("started", {}), name=1)
        pods.say("train", ("started", {}), ("finished", {"seconds": 5}), name=2)
        pods.task("train", "SUCCEEDED")
        pods.end("SUCCEEDED")

    pods.play(script)
    result = run(environment)
    assert result.status == "succeeded"
    assert [(step.name, step.cached) for step in result.steps] == [("train", False)]


def test_a_kubeflow_that_is_away_for_a_while_is_waited_for_and_said_once(world):
    server, pods, environment = world

    def script(pods):
        pods.say("version", ("started", {}))
        server.faults += [lambda _: refused(503, "no endpoints available")] * 6
        time.sleep(0.3)
        pods.say("version", ("finished", {"seconds": 1}))
        pods.task("version", "SUCCEEDED")
        pods.end("SUCCEEDED")

    pods.play(script)
    events = []
    assert run(environment, events.append).status == "succeeded"
    warnings = [each.text for each in events if each.event == "warning"]
    assert len(warnings) == 1
    assert "no endpoints available" in warnings[0]


def test_a_token_that_expires_and_is_renewed_loses_nothing(world, tmp_path, monkeypatch):
    server, pods, environment = world
    server.token, file = "monday", tmp_path / "token"
    file.write_text("monday")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_TOKEN_FILE", str(file))

    def script(pods):
        pods.say("version", ("started", {}))
        server.token = "tuesday"
        time.sleep(0.3)
        file.write_text("tuesday")
        pods.task("version", "SUCCEEDED")
        pods.end("SUCCEEDED")

    pods.play(script)
    events = []
    assert run(environment, events.append).status == "succeeded"
    assert [each.event for each in events if each.event == "warning"] == ["warning"]


def test_a_run_whose_follower_gave_up_goes_on_and_is_closed_as_it_ended(world, tmp_path, monkeypatch):
    server, pods, environment = world
    server.token, file = "monday", tmp_path / "token"
    file.write_text("monday")
    monkeypatch.setenv("GLOCAL_KUBEFLOW_TOKEN_FILE", str(file))
    monkeypatch.setenv("GLOCAL_KUBEFLOW_PATIENCE_S", "0.2")
    pods.play(lambda pods: (pods._record(), setattr(server, "token", "tuesday")))
    with pytest.raises(Unauthorized) as raised:
        run(environment)
    assert "The run goes on" in raised.value.hint
    folder = the_folder(environment)
    record = the_record(pods, environment)
    assert record.state == "running"
    assert RunFolder.of(record, environment.home).state == "running"
    close_killed_runs(pods.runs, environment.home.runs, print)  # it is not killed: Kubeflow cannot be asked for it
    assert pods.runs.run(record.id).state == "running"
    file.write_text("tuesday")
    pods.end("SUCCEEDED")
    pods.runs.close(record.id, succeeded=True)  # by its last step
    monkeypatch.setattr(killed_runs, "_asked", {})
    close_killed_runs(pods.runs, environment.home.runs, print)
    assert read_json(folder / "result.json") == {"status": "succeeded"}


def test_a_run_that_was_ended_in_kubeflow_without_its_last_step_is_closed_by_the_next_run(world, monkeypatch):
    server, pods, environment = world
    monkeypatch.setenv("GLOCAL_KUBEFLOW_PATIENCE_S", "0")
    pods.play(lambda pods: (pods._record(), server.faults.extend([lambda _: refused(503, "away")] * 4)))
    with pytest.raises(Unavailable):
        run(environment)
    server.faults.clear()
    pods.end("CANCELED")
    close_killed_runs(pods.runs, environment.home.runs, print)
    record = the_record(pods, environment)
    assert record.state == "killed"


def test_ctrl_c_ends_the_run_in_kubeflow_and_it_is_recorded_as_killed(world):
    server, pods, environment = world
    pods.play(lambda pods: pods.say("train", ("started", {})))

    def stop(_event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(environment, stop)
    (given,) = server.runs.values()
    assert given.state == "CANCELED"
    record = the_record(pods, environment)
    assert record.state == "killed"


def test_a_run_that_somebody_ends_in_kubeflow_has_failed_for_that_reason(world):
    _, pods, environment = world
    pods.play(lambda pods: pods.end("CANCELED"))
    result = run(environment)
    assert (result.status, result.error.headline) == ("failed", "The run was ended in Kubeflow.")


def test_a_run_whose_start_was_not_answered_is_started_once(world):
    server, pods, environment = world
    server.lost.append("/runs")
    pods.play(lambda pods: pods.end("SUCCEEDED"))
    assert run(environment).status == "succeeded"
    assert len(server.runs) == 1


def test_parameters_that_kubeflow_refuses_start_nothing_and_say_why(world):
    server, pods, environment = world
    with pytest.raises(InvalidInput, match="source"):
        run(environment, arguments={"name": "photos"})
    assert server.runs == {}
    record = the_record(pods, environment)
    assert record.state == "killed"


def test_the_parameters_of_every_run_are_those_that_kubeflow_takes(world):
    from model.config import RunConfig

    server, pods, environment = world
    pods.play(lambda pods: pods.end("SUCCEEDED"))
    run(environment, arguments=pipeline_arguments("photos", "", RunConfig(), "because"))
    (given,) = server.runs.values()
    assert given.runtime_config.parameters["train"]["epochs"] == RunConfig().train.epochs


@pytest.mark.parametrize("uri", ["", "sqlite:////tmp/x.db"])
def test_a_record_of_runs_that_pods_cannot_reach_is_refused(tmp_path, uri):
    with pytest.raises(InvalidInput, match="must be an MLflow server"):
        runner.refuse_local_records(Environment(home=Home.at(tmp_path), tracking_uri=uri))
    runner.refuse_local_records(Environment(home=Home.at(tmp_path), tracking_uri="http://mlflow:5000"))

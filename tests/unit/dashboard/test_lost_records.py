"""MLflow's database goes while the dashboard runs: pages show what the files of the home say, why that is all, and what to do."""

import shutil
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from components.runtime.events import emit
from dashboard.monitoring.checks import look_at_registry
from dashboard.monitoring.monitor import Monitor
from model.claim import claim
from model.environment import Environment
from model.errors import NotFound, Unavailable
from model.files import write_json
from model.home import ALIVE, Home
from model.schemas.order import Order
from model.schemas.run_event import RunEvent
from pipelines.queue.stored import StoredOrder
from serving.registry.models import Registry
from serving.registry.runs import Runs
from tests.support.dashboard import Browser, text
from tests.support.versions import add_promotions, add_versions


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run that ended, one that was killed, one that is queued; a model that was promoted and should serve; and their ids."""
    home = claim(Home.at(tmp_path_factory.mktemp("lost") / "home"))
    runs, ids = Runs(home.tracking_uri), []
    for name in ("20261101-120000-abcdef", "20261102-120000-abcdef"):
        folder = home.runs / name
        folder.mkdir(parents=True)
        ids.append(runs.start_run("a run", {"name": "shop"}, {"folder": folder, "glocal.kind": "training"}))
        write_json(folder / "run.json", {"run_id": ids[-1]})
        (folder / ALIVE).touch()
        emit(folder, RunEvent(step="train", event="started", at=time.time()))
        (folder / "train.log").write_text("epoch 1\n")
    report = {"recall_at_1": 0.75, "recall_at_1_interval": [0.7, 0.8], "map_at_r": 0.5, "verdict": "Training helps."}
    write_json(home.runs / "20261101-120000-abcdef" / "result.json", {"status": "succeeded", "report": report})
    StoredOrder(home.queue.orders / "one").create(Order(id="one", source="/shop", user="ana", time=datetime.now(UTC)))
    add_versions(home, "shop", 2)
    add_promotions(home, "shop", ["2"])
    entry = {"version": "2", "archive": "shop.mar", "sha256": "0", "release": "r", "embedding_space_id": "e", "workers": 1}
    write_json(home.serve.deployed, {"shop": entry})
    shutil.copy(home.root / "mlflow.db", home.root / "copy.db")
    return home, ids


def restore(home):
    """Put the database back."""
    file = home.root / "mlflow.db"
    shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    shutil.copy(home.root / "copy.db", file)


@pytest.fixture
def known(recorded):
    """A dashboard that has shown the records."""
    home, ids = recorded
    browser = Browser(Environment(home=home))
    browser.app.state.monitor = Monitor(browser.app.state.environment, {"mlflow": ("MLflow", look_at_registry)})
    browser.app.state.monitor.look()
    for page in ("/runs", "/models", "/history"):
        assert "The records cannot be read" not in text(browser.get(page))
    yield SimpleNamespace(home=home, browser=browser, ids=ids, file=home.root / "mlflow.db")
    restore(home)


def deleted(file):
    file.unlink()


def damaged(file):
    file.write_bytes(b"x" * 4096)


def replaced_by_a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("lose", [deleted, damaged, replaced_by_a_folder])
def test_pages_show_what_is_known_without_the_records_and_what_to_do(known, lose):
    lose(known.file)
    ended, killed = known.ids
    said = {
        "/runs": ["queued", "/shop", "20261101-120000-abcdef", "succeeded", "0.750", "killed"],
        f"/runs/{ended}": ["succeeded", "0.750", "Training helps."],
        f"/runs/{killed}": ["killed", "train"],
        "/models": ["The endpoint does not run", ": version 2 is better"],
        "/history": ["shop nothing → 2", "ann", "version 2 is better"],
    }
    for page, texts in said.items():
        answer = known.browser.get(page)
        shown = text(answer)
        assert answer.status_code == 200, page
        assert "The records cannot be read." in shown
        assert "They were last seen whole" in shown
        assert "Traceback" not in shown
        assert not [each for each in texts if each not in shown], (page, shown)
    runs = known.browser.get("/runs")
    assert "Restore it from a backup." in text(runs)
    assert ", <bdi></bdi>" not in runs.text  # nobody is named, as the folder of a run does not say who started it
    assert known.browser.get(f"/runs/{killed}/logs/train").text == "epoch 1\n"
    assert known.browser.get("/").headers["location"] == "/runs"
    for page in ("/health", "/data", "/try", "/runs/schedules", "/runs/new"):
        assert known.browser.get(page).status_code in {200, 503}, page
    for page in ("/models/shop", "/models/shop/2", "/models/shop/diff", "/history/integrity", f"/runs/{'0' * 32}"):
        answer = known.browser.get(page)
        assert answer.status_code in {503, 507}, page
        assert "Traceback" not in answer.text
    assert lose is not deleted or not known.file.exists()  # nobody began new records
    restore(known.home)
    for page in ("/runs", "/models", "/history"):
        assert "The records cannot be read" not in text(known.browser.get(page))


def test_a_server_of_records_that_is_known_to_be_down_is_not_waited_for(known):
    known.browser.app.state.environment = Environment(home=known.home, tracking_uri="http://127.0.0.1:9")

    def down(_):
        raise Unavailable("MLflow's server at http://127.0.0.1:9 does not answer.", "Start it again, or see its log.")

    monitor = known.browser.app.state.monitor = Monitor(known.browser.app.state.environment, {"mlflow": ("MLflow", down)})
    monitor.look()
    for page in ("/runs", "/models", "/history", f"/runs/{known.ids[0]}"):
        begun, answer = time.monotonic(), known.browser.get(page)
        assert (answer.status_code, time.monotonic() - begun < 2) == (200, True)
        assert "does not answer. Start it again, or see its log." in text(answer)


def test_what_is_not_there_is_told_from_a_store_that_does_not_answer(known, monkeypatch):
    runs, registry = Runs(known.home.tracking_uri), Registry(known.home.tracking_uri, "shop")
    for missing in (lambda: runs.run("0" * 32), lambda: registry.version("9"), lambda: registry.version("9" * 30)):
        with pytest.raises(NotFound):
            missing()
    assert Registry(known.home.tracking_uri, "none").aliases() is None

    def fail(*_, **__):
        raise MlflowException("disk I/O error", TEMPORARILY_UNAVAILABLE)

    for name in ("get_run", "search_runs", "get_registered_model", "get_model_version"):
        monkeypatch.setattr(MlflowClient, name, fail)
    for asked in (lambda: runs.run(known.ids[0]), lambda: registry.version("2"), registry.aliases, lambda: runs.page(5)):
        with pytest.raises(Unavailable, match="does not answer as it should"):
            asked()

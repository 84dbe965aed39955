"""Really trained releases with their reports, and their registration as a pipeline run does it."""

from pathlib import Path

from model.config import RunConfig
from model.data.versions.fetch import fetch
from model.evaluation.evaluate import evaluate_release
from model.evaluation.report import REPORT
from model.home import Home
from model.index import build_release
from model.release import Release, open_release
from model.schemas.data_pin import DataPin
from model.schemas.report import Report
from model.training.train import train
from pipelines.provenance import run_params
from serving.registry.models import Registry
from serving.registry.records import COMMIT, KIND
from serving.registry.runs import Runs


def small_config(seed: int = 0, **train: object) -> RunConfig:
    """Settings of a training that takes a second."""
    return RunConfig.model_validate(
        {
            "model": {"trunk": "test_efficientnet", "weights": "none", "image_size": 32},
            "train": {
                **{"epochs": 2, "classes_per_batch": 4, "images_per_class": 2, "device": "cpu", "workers": 0},
                **{"seed": seed, "init": "random", **train},
            },
            "evaluate": {"samples": 100},
        }
    )


def train_release(home: Home, pin: DataPin, config: RunConfig, out: Path) -> Release:
    """Train, index and evaluate as the steps do: `checkpoint`, `release` and `report` in `out`."""
    data, places = fetch(pin, home.data, home.datasets), {"work": home.work}
    train(data, config.model, config.train, data_md5=pin.md5, out=out / "checkpoint", **places)
    release = build_release(data, out / "checkpoint", out / "release", pin=pin, code_revision="test", **places)
    settings = {"model": config.model, "training": config.train, "evaluation": config.evaluate}
    evaluate_release(release.folder, out / "checkpoint", data, out / "report", md5=pin.md5, **settings, **places)
    return release


def register_trained(home: Home, name: str, out: Path, config: RunConfig, commit: str = "") -> str:
    """Register what `train_release` left in `out` as the version that a training run made; returns the version."""
    report, runs = Report.load(out / "report" / REPORT), Runs(home.tracking_uri)
    tags = {KIND: "training", "code_revision": "test", "why": "test", "folder": str(out), **({COMMIT: commit} if commit else {})}
    run = runs.start_run(name, run_params("photos", name, config), tags)
    runs.log_file(run, out / "report", "report")
    runs.close(run, succeeded=True)
    return Registry(home.tracking_uri, name).register(open_release(out / "release"), report.recorded(), run)

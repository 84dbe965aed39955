"""The main claim on photographs that nobody drew: training on some classes helps to find others."""

import os
from pathlib import Path

import pytest

from model.config import EvaluateConfig, ModelConfig, TrainConfig
from model.data.importing.import_dataset import import_dataset
from model.data.versions.fetch import fetch
from model.evaluation.evaluate import evaluate_release
from model.home import Home
from model.index import build_release
from model.training.train import train

DATASETS = Path(os.environ.get("GLOCAL_TEST_DATASETS", Path(__file__).parents[3] / "shared" / "datasets"))
GROCERY = DATASETS / "grocery" / "images"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not GROCERY.is_dir(), reason=f"no photographs at {GROCERY}; set GLOCAL_TEST_DATASETS"),
]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    report = import_dataset(GROCERY, "grocery", Home(home).data)
    return home, report, fetch(report.pin, Home(home).data, home / "datasets")


def test_half_of_the_classes_train_and_validate_and_the_others_test(imported):
    _, report, _ = imported
    assert (report.classes["train"], report.classes["val"], report.classes["test"]) == (33, 8, 40)
    assert report.pin.files == 5421 + 1  # and the manifest


def test_training_on_some_products_helps_to_find_products_never_seen(imported, tmp_path):
    home, report, folder = imported
    model, work, md5 = ModelConfig(image_size=96), home / "work", report.pin.md5
    config = TrainConfig(epochs=4, folds=1, rerank="never")  # a minute; the whole of it is measured in docs/methods.md
    train(folder, model, config, data_md5=md5, work=work, out=tmp_path / "checkpoint")
    release = tmp_path / "release"
    build_release(folder, tmp_path / "checkpoint", release, pin=report.pin, code_revision="test", work=work)
    evaluated = evaluate_release(
        release,
        tmp_path / "checkpoint",
        folder,
        tmp_path / "report",
        md5=md5,
        model=model,
        training=config,
        evaluation=EvaluateConfig(samples=200),
        work=work,
    )
    found = evaluated.retrieval
    assert found.figures["map_at_r"].value > found.untrained["map_at_r"].value + 0.03
    assert found.gain.lower > 0
    assert found.figures["recall_at_1"].value >= found.untrained["recall_at_1"].value

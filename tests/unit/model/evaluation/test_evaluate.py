import pytest

from model.config import ModelConfig, TrainConfig
from model.evaluation.evaluate import evaluate_release
from model.files import read_json
from model.index import build_release
from model.training.train import train
from tests.support.datasets import SAMPLES, make_dataset
from tests.support.releases import make_pin

MODEL = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)
TRAINING = TrainConfig(epochs=1, classes_per_batch=4, images_per_class=2, device="cpu", workers=0)
PIN = make_pin(md5="a" * 32, licence="CC BY 4.0")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The report of a tiny release, and the folder it was written to."""
    folder = tmp_path_factory.mktemp("evaluated")
    data, work, out = make_dataset(folder / "data"), folder / "work", folder / "report"
    train(data, MODEL, TRAINING, data_md5=PIN.md5, work=work, out=folder / "checkpoint")
    build_release(data, folder / "checkpoint", folder / "release", pin=PIN, code_revision="test", work=work)
    report = evaluate_release(folder / "release", data, out, md5=PIN.md5, model=MODEL, training=TRAINING, work=work, samples=100)
    return report, out


def test_the_report_tells_all_that_was_measured_and_what_it_was_measured_on(evaluated):
    report, out = evaluated
    assert read_json(out / "report.json") == report
    assert report["gallery"] == {"samples": SAMPLES, "classes": 8}
    assert report["splits"]["train"] == {"classes": 4, "samples": 16}
    assert report["splits"]["test"] == {"classes": 2, "samples": 8}
    assert (report["classes"], report["queries"]) == (2, 8)
    assert report["settings"]["network"]["trunk"] == "test_efficientnet"
    assert report["network"]["dimensions"] == sum(head["dimensions"] for head in report["network"]["heads"].values())
    assert report["latency_ms"] > 0


def test_the_card_beside_it_states_the_licences_of_weights_data_and_code(evaluated):
    card = (evaluated[1] / "model_card.md").read_text()
    assert "weights: none needed: the trunk starts from random weights." in card
    assert "- The data: CC BY 4.0." in card
    assert "- The code: Apache" in card  # its metadata or its licence file, whichever the package brings
    assert "(the package glocal" in card

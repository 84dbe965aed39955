from pathlib import Path

import pytest

from model.config import EvaluateConfig, ModelConfig, TrainConfig
from model.evaluation.evaluate import evaluate_release
from model.evaluation.metrics import PerQuery
from model.index import build_release
from model.schemas.report import Count, Report
from model.training.train import train
from tests.support.datasets import SAMPLES, make_dataset
from tests.support.releases import make_pin

pytestmark = pytest.mark.slow

MODEL = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)
# A random init, because whitening takes seconds.
TRAINING = TrainConfig(epochs=1, classes_per_batch=4, images_per_class=2, init="random", device="cpu", workers=0)
PIN = make_pin(md5="a" * 32, licence="CC BY 4.0")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The report of a tiny release, and the folder it was written to."""
    return evaluate(tmp_path_factory.mktemp("evaluated"))


def evaluate(folder: Path, distractors: int = 0) -> tuple[Report, Path]:
    data, work, out = make_dataset(folder / "data", distractors=distractors), folder / "work", folder / "report"
    train(data, MODEL, TRAINING, data_md5=PIN.md5, work=work, out=folder / "checkpoint")
    build_release(data, folder / "checkpoint", folder / "release", pin=PIN, code_revision="test", work=work)
    report = evaluate_release(
        folder / "release",
        folder / "checkpoint",
        data,
        out,
        md5=PIN.md5,
        model=MODEL,
        training=TRAINING,
        evaluation=EvaluateConfig(samples=100),
        work=work,
    )
    return report, out


def test_the_report_tells_all_that_was_measured_and_what_it_was_measured_on(evaluated):
    report, out = evaluated
    assert Report.load(out / "report.json") == report
    assert report.gallery == Count(samples=SAMPLES, classes=8)
    assert report.splits["train"] == Count(classes=4, samples=16)
    assert report.splits["test"] == Count(classes=2, samples=8)
    assert (report.retrieval.classes, report.retrieval.queries) == (2, 8)
    assert report.network.trunk == "test_efficientnet"
    assert report.network.dimensions == sum(head.settings["dimensions"] for head in report.network.heads)
    weights = {head.name: head.settings["weight"] for head in report.network.heads}
    assert weights == pytest.approx(report.training.merge_weights), "those that were chosen, not the method's"
    assert report.latency.median_ms >= report.latency.fastest_ms > 0
    assert report.memory_mb > report.size_mb
    assert [head.name for head in report.heads] == ["merged", *(head.name for head in report.network.heads)]
    assert report.heads[0].map_at_r == report.retrieval.figures["map_at_r"]
    assert report.detection is None, "there are no scenes"


def test_pairs_and_queries_are_accepted_at_the_thresholds_of_the_release(evaluated):
    report, _ = evaluated
    for found, calibrated in (
        (report.verification, report.calibration.verify),
        (report.identification, report.calibration.identify),
    ):
        assert {rate: each.threshold for rate, each in found.thresholds.items()} == {
            rate: each.threshold for rate, each in calibrated.items()
        }
    assert (report.verification.genuine, report.verification.impostors) == (2 * 4 * 3, 2 * 4 * 4)
    assert (report.identification.genuine, report.identification.impostors) == (8, 8)
    recorded = report.recorded()
    assert recorded["calibration_error"] == report.calibration_error
    assert recorded["eer"] == report.verification.candidate.eer.value
    assert recorded["memory_mb"] == report.memory_mb


def test_the_training_is_told_beside(evaluated):
    report, _ = evaluated
    assert [epoch.epoch for epoch in report.training.history] == [0, 1]
    assert report.training.validation_map_at_r >= report.training.init_map_at_r


def test_the_card_beside_it_states_the_licences_of_weights_data_and_code(evaluated):
    card = (evaluated[1] / "model_card.md").read_text()
    assert "weights: none needed: the trunk starts from random weights." in card
    assert "- The data: CC BY 4.0." in card
    assert "- The code: Apache" in card  # its metadata or its licence file, whichever the package brings
    assert "(the package glocal" in card


def test_distractors_are_searched_and_are_never_a_query(tmp_path):
    report, out = evaluate(tmp_path, distractors=3)
    assert report.gallery == Count(samples=SAMPLES + 3, classes=11)
    assert report.splits["distractor"] == Count(classes=3, samples=3)
    assert (report.retrieval.queries, report.retrieval.distractors, report.retrieval.queries_without_match) == (8, 3, 0)
    found = PerQuery.load(out / "candidate.npz")
    assert not any("distractor" in name for name in report.retrieval.by_class)
    assert set(found.neighbours.ravel()) == set(range(11))  # of 11 that are searched each query finds the 10 others
    assert "3 distractors were searched" in (out / "model_card.md").read_text()
    assert "3 distractors searched" in (out / "report.html").read_text()

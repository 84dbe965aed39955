"""Re-ranking from training to the endpoint's engine: chosen, stored, evaluated and served."""

import numpy as np
import pytest
from PIL import Image

from model.config import EvaluateConfig, ModelConfig, TrainConfig
from model.errors import InvalidInput
from model.evaluation.evaluate import evaluate_release
from model.index import build_release
from model.release import LOCAL_FEATURES, open_release
from model.retrieval.geometric_verification import PLACES, ranking_score
from model.schemas.report import Report
from model.training.train import train
from serving.engine.engine import Engine
from serving.golden import same_neighbours
from serving.operations.query import make_query
from tests.support.datasets import VIEWS, draw_scene, make_scenes
from tests.support.encoded import encode
from tests.support.releases import make_pin

pytestmark = pytest.mark.integration

SPLITS = {"train": 4, "val": 6, "test": 4}
MODEL = ModelConfig(method="multi_head_paper", image_size=160)
"""A model whose local head is longer than a descriptor may be."""
TRAINING = TrainConfig(epochs=0, folds=1, classes_per_batch=4, images_per_class=2, device="cpu", workers=0)
PIN = make_pin(md5="a" * 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, checkpoint, and the release of scenes that look alike on the whole."""
    folder = tmp_path_factory.mktemp("scenes")
    data = make_scenes(folder / "data", SPLITS)
    train(data, MODEL, TRAINING, data_md5=PIN.md5, work=folder / "work", out=folder / "checkpoint")
    build_release(data, folder / "checkpoint", folder / "release", pin=PIN, code_revision="test", work=folder / "work")
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder / "release")


def test_the_release_holds_the_local_features_of_every_image_and_names_their_file(folder):
    release = open_release(folder / "release")
    assert LOCAL_FEATURES in release.manifest.files
    assert len(release.reranker.features) == len(release.gallery) == VIEWS * sum(SPLITS.values())
    assert release.reranker.reduction.shape == (256, 128)
    assert release.reranker.features[0].descriptors.shape[1] == 128


def test_the_engine_finds_views_of_a_scene_and_says_how_many_matches_agree(engine):
    scene = sum(SPLITS.values()) - 1  # a test class
    neighbours = engine.search(draw_scene(scene, VIEWS + 1), VIEWS)["neighbours"]
    assert neighbours[0]["label"] == f"class {scene}"
    assert neighbours[0]["inliers"] > 10
    figures = ranking_score([one["score"] for one in neighbours], [one["inliers"] for one in neighbours]).tolist()
    assert figures == sorted(figures, reverse=True)


def test_a_blank_image_has_the_answer_of_the_embedding_alone_and_that_is_said(engine):
    answer = engine.search(encode(Image.new("RGB", (200, 150), "white")), VIEWS)
    scores = [one["score"] for one in answer["neighbours"]]
    assert len(scores) == VIEWS
    assert scores == sorted(scores, reverse=True)
    assert answer["notes"] == ["The image has no local features: the embedding alone sorts the answers."]
    assert "notes" not in engine.search(draw_scene(0, VIEWS + 1), VIEWS)


def test_matches_of_a_search_and_of_two_images_are_named_if_asked(engine):
    scene = sum(SPLITS.values()) - 1
    one, other = (draw_scene(scene, VIEWS + view) for view in (1, 2))
    found = engine.answer(make_query("search", [one], {"matches": True}))["neighbours"][0]
    assert len(found["matches"]) == min(found["inliers"], PLACES)
    same = engine.answer(make_query("verify", [one, one], {"matches": True}))["matches"]
    assert len(same) > 10
    assert all(here == there for *here, u, v in same for there in [[u, v]])
    between = np.array(engine.answer(make_query("verify", [one, other], {"matches": True}))["matches"])
    assert len(between) > 10
    assert ((between > 0) & (between < 1)).all()
    assert "matches" not in engine.answer(make_query("verify", [one, other]))
    assert "matches" not in engine.search(one, 1)["neighbours"][0]


def test_it_gives_its_golden_answers_alone_and_in_a_batch(engine):
    release = engine.release
    images = [release.golden_image(golden).read_bytes() for golden in release.golden]
    together = engine.answers([make_query("search", [image]) for image in images])
    for golden, image, answer in zip(release.golden, images, together, strict=True):
        assert all(neighbour.inliers is not None for neighbour in golden.neighbours)
        assert same_neighbours(engine.search(image, 5)["neighbours"], golden.neighbours)
        assert same_neighbours(answer["neighbours"], golden.neighbours)


def test_the_report_has_test_queries_with_and_without_reranking(folder):
    report = evaluate_release(
        folder / "release",
        folder / "checkpoint",
        folder / "data",
        folder / "report",
        md5=PIN.md5,
        model=MODEL,
        training=TRAINING,
        evaluation=EvaluateConfig(samples=100),
        work=folder / "work",
    )
    found = report.reranking
    assert Report.load(folder / "report" / "report.json").reranking == found
    assert found.queries == VIEWS * SPLITS["test"]
    # Of so few queries all are in the sample, so the global search has the figures of the whole report.
    assert found.map_at_r_before == pytest.approx(report.retrieval.figures["map_at_r"].value)
    assert found.map_at_r > found.map_at_r_before + 0.1
    for file in ("model_card.md", "report.html"):
        assert "re-ranked by local features" in (folder / "report" / file).read_text()


def test_damaged_or_missing_local_features_are_refused(folder):
    file = folder / "release" / LOCAL_FEATURES
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(InvalidInput, match=r"was changed: local_features\.safetensors"):
            Engine(folder / "release")
        file.unlink()
        with pytest.raises(InvalidInput, match=r"misses local_features\.safetensors"):
            Engine(folder / "release")
    finally:
        file.write_bytes(whole)


def test_where_reranking_was_switched_off_none_is_stored_and_answers_are_as_before(folder, tmp_path):
    plain = TRAINING.model_copy(update={"rerank": "never"})
    train(folder / "data", MODEL, plain, data_md5=PIN.md5, work=folder / "work", out=tmp_path / "checkpoint")
    release = build_release(
        folder / "data", tmp_path / "checkpoint", tmp_path / "release", pin=PIN, code_revision="test", work=folder / "work"
    )
    assert not (release.folder / LOCAL_FEATURES).exists()
    assert release.reranker is None
    assert release.embedding_space_id == open_release(folder / "release").embedding_space_id
    (neighbour,) = Engine(release.folder).search(draw_scene(0, 0), 1)["neighbours"]
    assert set(neighbour) == {"id", "label", "score"}
    assert "inliers" not in (release.folder / "golden" / "answers.json").read_text()

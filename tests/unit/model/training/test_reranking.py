"""Whether selection re-ranks: by hand, and on held-out images that local features tell apart or do not."""

import numpy as np
import pytest

from model.config import ModelConfig, TrainConfig
from model.evaluation.reranking import QueryFigures
from model.training.reranking import choose_ratio
from model.training.train import train
from tests.support.datasets import make_dataset, make_scenes

LABELS = np.repeat(np.arange(6), 2)
SPLITS = {"train": 4, "val": 6, "test": 2}
SCENES = ModelConfig(method="local_average", image_size=160)
BLOCKS = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)


def figures(*map_at_r: float) -> QueryFigures:
    """Figures of two queries of each of six classes, from those of the classes."""
    return QueryFigures(np.repeat(map_at_r, 2), np.repeat(map_at_r, 2))


def test_the_best_ratio_is_taken_if_it_is_better_by_more_than_a_standard_error():
    found = choose_ratio(LABELS, {None: figures(*[0.5] * 6), 0.8: figures(*[0.6] * 6), 0.9: figures(*[0.7] * 6)})
    assert (found.ratio, found.tried_ratio) == (0.9, 0.9)
    assert (found.map_at_r_before, found.map_at_r) == pytest.approx((0.5, 0.7))
    assert found.gain_interval == pytest.approx((0.2, 0.2))


@pytest.mark.parametrize(
    "reranked",
    [
        [0.5] * 6,
        [0.4] * 6,
        [0.8, 0.3, 0.5, 0.5, 0.5, 0.5],  # a gain of 0.017 in the mean, and a standard error of 0.065
        [0.504] * 6,  # certain, and not worth its cost
    ],
)
def test_the_global_search_stays_where_no_ratio_is_clearly_and_noticeably_better(reranked):
    found = choose_ratio(LABELS, {None: figures(*[0.5] * 6), 0.8: figures(*reranked), 0.9: figures(*[0.3] * 6)})
    assert (found.ratio, found.tried_ratio) == (None, 0.8)


def test_of_equally_good_ratios_the_first_is_taken():
    found = choose_ratio(LABELS, {None: figures(*[0.5] * 6), 0.8: figures(*[0.6] * 6), 0.9: figures(*[0.6] * 6)})
    assert found.ratio == 0.8


def trained(data, folder, model, **changes):
    settings = {"epochs": 0, "init": "random", "classes_per_batch": 4, "images_per_class": 2, "device": "cpu", "workers": 0}
    config = TrainConfig(**{**settings, "folds": 2, **changes})
    return train(data, model, config, data_md5="a" * 32, work=folder / "work", out=folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["frozen", "finetune"])
def test_views_of_scenes_that_look_alike_on_the_whole_are_reranked(tmp_path, trunk):
    found = trained(make_scenes(tmp_path / "data", SPLITS), tmp_path, SCENES, trunk=trunk).reranking
    assert found.ratio is not None
    assert found.map_at_r > found.map_at_r_before + 0.1
    assert found.queries == 40, "of ten classes in both folds"
    assert found.gain_interval[0] > 0


def test_images_that_are_told_apart_by_their_colours_are_not(tmp_path):
    found = trained(make_dataset(tmp_path / "data", splits=SPLITS), tmp_path, BLOCKS).reranking
    assert found.ratio is None
    assert found.map_at_r_before > 0.3


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (BLOCKS, {"rerank": "never"}),
        (BLOCKS.model_copy(update={"method": "proxy_anchor"}), {}),  # it has no local head
        (BLOCKS, {"folds": 7}),
    ],
    ids=["never", "no local head", "nothing held out"],
)
def test_nothing_is_said_of_reranking_where_there_is_nothing_to_choose(tmp_path, model, changes):
    splits = {"train": 3, "test": 2} if "folds" in changes else SPLITS
    report = trained(make_dataset(tmp_path / "data", splits=splits), tmp_path, model, **changes)
    assert report.reranking is None
    assert not any("local features" in sentence for sentence in report.summary)

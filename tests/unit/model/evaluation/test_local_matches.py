"""Local matches between a query and the neighbour that re-ranking puts first."""

import numpy as np
import pytest
import torch

from model.data.manifest import read_manifest
from model.evaluation.local_matches import QUERIES, matched_pairs
from model.evaluation.metrics import evaluate_retrieval
from model.networks.methods import METHODS
from model.networks.stored import NetworkSpec
from tests.support.datasets import draw_scene, make_dataset

SIDE = 96


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    return read_manifest(make_dataset(tmp_path_factory.mktemp("data"), draw=draw_scene)).searched


def network(method):
    torch.manual_seed(0)
    return NetworkSpec(method, "test_efficientnet", SIDE, METHODS[method].architecture).build().eval()


def found(searched):
    """What a perfect embedding finds."""
    vectors = np.eye(16, dtype=np.float32)[searched.labels]
    return evaluate_retrieval(vectors, searched.labels, searched.ids)


def test_views_of_one_thing_match_in_places_within_both_images(searched):
    pairs = matched_pairs(network("multi_head"), SIDE, None, searched, found(searched))
    assert len(pairs) == min(QUERIES, len(searched))
    assert all(pair.found.right and pair.found.name == pair.query.name for pair in pairs)
    assert all(pair.found.path != pair.query.path for pair in pairs)
    places = np.array([place for pair in pairs for place in pair.places])
    assert len(places) >= 4
    assert places.min() >= 0
    assert places.max() <= 1


def test_a_network_without_a_local_head_has_none(searched):
    (method, *_) = [
        name for name, one in METHODS.items() if "local" not in one.architecture.heads and not one.architecture.autoencoder
    ]
    assert matched_pairs(network(method), SIDE, None, searched, found(searched)) == ()


def test_an_image_that_cannot_be_read_leaves_its_query_out(tmp_path):
    searched = read_manifest(make_dataset(tmp_path, draw=draw_scene)).searched
    (tmp_path / str(searched.paths[0])).write_text("no image")
    shown = matched_pairs(network("multi_head"), SIDE, None, searched, found(searched))
    assert str(searched.paths[0]) not in {pair.query.path for pair in shown}
    assert shown

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.errors import InvalidInput
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import METHODS
from model.networks.trunk import LITE0, make_trunk
from model.retrieval.local_features import extract
from model.retrieval.reranker import RATIOS, Reranker, choose_ratio, reduction_for
from tests.support.images import scenery

SIZE = 160


def network(method):
    torch.manual_seed(0)
    trunk = make_trunk(LITE0, "offline")
    return RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS[method].architecture)).eval()


QUERY = scenery(0)
GALLERY = [[scenery(1)[:, :SIZE, :SIZE], scenery(2)[:, :SIZE, :SIZE]], [QUERY[:, 32 : 32 + SIZE, 32 : 32 + SIZE]]]
ROWS, SCORES = np.array([0, 1, 2]), np.float32([0.9, 0.8, 0.7])


def make_reranker(method, size=SIZE):
    made = network(method)
    reduction = reduction_for(made, lambda: GALLERY, size)
    features = [image for images in GALLERY for image in extract(made, images, size, reduction=reduction)]
    return Reranker(made, size, features, reduction)


@pytest.mark.parametrize(("method", "size"), [("multi_head", 160), ("multi_head_paper", 160), ("delg", 160), ("sona", 320)])
def test_every_method_with_local_features_puts_the_image_that_overlaps_the_query_first(method, size):
    reranker = replace(make_reranker(method, size), budget_ms=1e9)  # sona's positions are twice as wide
    assert {found.descriptors.shape[1] for found in reranker.features} == {64 if method == "multi_head" else 128}
    (query,) = reranker.local_features([QUERY[:, :SIZE, :SIZE]])
    found = reranker.order(query, ROWS, SCORES)
    assert sorted(found.order.tolist()) == [0, 1, 2]
    assert found.order[0] == 2


def test_what_lies_beyond_the_limit_keeps_its_place():
    reranker = replace(make_reranker("multi_head"), limit=2)
    (query,) = reranker.local_features([QUERY[:, :SIZE, :SIZE]])
    found = reranker.order(query, ROWS, SCORES)
    assert found.order[2] == 2
    assert found.inliers.shape == (3,)
    assert found.verified == 2


def test_without_a_ratio_the_global_order_stays():
    reranker = replace(make_reranker("delg"), ratio=None)
    (query,) = reranker.local_features([QUERY])
    assert reranker.order(query, ROWS, SCORES).order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ["proxy_anchor", "abe", "solar"])
def test_a_method_without_a_local_head_says_so(method):
    with pytest.raises(InvalidInput, match="no local"):
        reduction_for(network(method), lambda: GALLERY, SIZE)


def test_the_ratio_that_does_best_is_chosen_and_none_where_none_helps():
    reranker = make_reranker("delg")
    figures = {None: 0.5, 0.8: 0.4, 0.9: 0.7, 1.0: 0.1}
    assert choose_ratio(reranker, lambda tried: figures[tried.ratio]).ratio == 0.9
    assert choose_ratio(reranker, lambda tried: 0.5).ratio is None
    assert set(RATIOS) == set(figures) - {None}

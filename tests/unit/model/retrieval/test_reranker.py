from dataclasses import replace

import numpy as np
import pytest
import torch

from model.errors import InvalidInput
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import METHODS
from model.networks.trunk import make_trunk
from model.networks.trunk_names import LITE0
from model.retrieval.embedding import trunk_maps
from model.retrieval.local_features import extract
from model.retrieval.reranker import Reranker, reduction_for
from tests.support.images import scenery

SIZE = 160


def network(method):
    torch.manual_seed(0)
    trunk = make_trunk(LITE0, "offline")
    return RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS[method].architecture)).eval()


QUERY = scenery(0)
GALLERY = [[scenery(1)[:, :SIZE, :SIZE], scenery(2)[:, :SIZE, :SIZE]], [QUERY[:, 32 : 32 + SIZE, 32 : 32 + SIZE]]]
ROWS, SCORES = np.array([0, 1, 2]), np.float32([0.71, 0.705, 0.7])


def batches(made):
    return lambda: ((torch.stack(images), *trunk_maps(made.trunk, torch.stack(images))) for images in GALLERY)


def make_reranker(method, query, size=SIZE):
    """A reranker of the gallery, and the local features of a query."""
    made = network(method)
    reduction = reduction_for(made.heads, batches(made))
    features = [image for images in GALLERY for image in extract(made, images, size, reduction=reduction)]
    (found,) = extract(made, [query], size, reduction=reduction)
    return Reranker(features, reduction, 0.8, budget_ms=np.inf), found


@pytest.mark.parametrize(("method", "size"), [("multi_head", 160), ("multi_head_paper", 160), ("delg", 160), ("sona", 320)])
def test_every_method_with_local_features_puts_the_image_that_overlaps_the_query_first(method, size):
    reranker, query = make_reranker(method, QUERY[:, :SIZE, :SIZE], size)  # sona's positions are twice as wide
    assert {found.descriptors.shape[1] for found in reranker.features} == {64 if method == "multi_head" else 128}
    found = reranker.order(query, ROWS, SCORES)
    assert sorted(found.order.tolist()) == [0, 1, 2]
    assert found.order[0] == 2


def test_what_lies_beyond_the_limit_keeps_its_place():
    reranker, query = make_reranker("multi_head", QUERY[:, :SIZE, :SIZE])
    found = replace(reranker, limit=2).order(query, ROWS, SCORES)
    assert found.order[2] == 2
    assert found.inliers.shape == (3,)
    assert found.verified == 2


@pytest.mark.parametrize("method", ["proxy_anchor", "abe", "solar"])
def test_a_method_without_a_local_head_says_so(method):
    with pytest.raises(InvalidInput, match="no local"):
        reduction_for(network(method).heads, list)

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import METHODS
from model.networks.trunk import make_trunk
from model.networks.trunk_names import LITE0
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.geometric_verification import PLACES, ranking_score
from model.retrieval.local_features import extract
from model.retrieval.reranker import Reranker
from model.retrieval.retriever import Retriever, Wanted
from tests.support.images import scenery

SIZE = 160
QUERY = scenery(0)[:, :SIZE, :SIZE]
BLANK = torch.full((3, SIZE, SIZE), 128, dtype=torch.uint8)
IMAGES = [scenery(1), scenery(0)[:, 32 : 32 + SIZE, 32 : 32 + SIZE], scenery(2), scenery(3)]


def test_a_search_sorts_its_first_answers_again_by_their_inliers(network):
    plain, reranking = retrievers(network, nearest=0)
    (before,), (after,) = plain.search([QUERY], 4), reranking.search([QUERY], 4)
    assert before[0].id == "0"
    assert {one.inliers for one in before} == {None}
    assert after[0].id == "1", "what overlaps the query"
    assert after[0].inliers > 3
    figures = ranking_score([one.score for one in after], [one.inliers for one in after]).tolist()
    assert figures == sorted(figures, reverse=True)
    assert {one.id: one.score for one in after} == {one.id: one.score for one in before}


def test_the_first_answers_do_not_depend_on_how_many_are_asked_for(network):
    _, reranking = retrievers(network, nearest=0)
    (whole,) = reranking.search([QUERY], 4)
    assert reranking.search([QUERY], 1) == [whole[:1]]
    assert reranking.search([QUERY], 99) == [whole]


def test_answers_beyond_the_limit_keep_their_place(network):
    plain, reranking = retrievers(network, nearest=0, limit=1)
    (before,), (after,) = plain.search([QUERY], 4), reranking.search([QUERY], 4)
    assert [one.id for one in after] == [one.id for one in before]
    assert [one.inliers for one in after[1:]] == [0, 0, 0]


def test_a_query_without_keypoints_is_answered_in_the_global_order(network):
    plain, reranking = retrievers(network, nearest=0)
    (before, _), (after, found) = plain.search([BLANK, QUERY], 4), reranking.search([BLANK, QUERY], 4)
    assert [one.id for one in after] == [one.id for one in before]
    assert found[0].id == "1"


def test_neighbours_say_where_they_match_if_asked(network):
    _, reranking = retrievers(network, nearest=0, limit=2)
    images = reranking.forward([QUERY])
    (plain,), (told,) = (reranking.find(images, [Wanted(4, matches=matches)]) for matches in (False, True))
    assert {one.matches for one in plain.neighbours} == {None}
    assert [one.model_copy(update={"matches": None}) for one in told.neighbours] == plain.neighbours
    assert [len(one.matches) for one in told.neighbours] == [min(one.inliers, PLACES) for one in plain.neighbours]
    first = np.array(told.neighbours[0].matches)
    assert len(first) > 3
    assert np.median(first[:, :2] - first[:, 2:], axis=0) * SIZE == pytest.approx([32, 32], abs=8), (
        "the view is moved by 32 pixels"
    )


def test_embedding_and_local_features_take_one_pass_through_the_trunk(network):
    _, reranking = retrievers(network, nearest=0)
    passes = []
    handle = network.trunk.register_forward_hook(lambda *_: passes.append(1))
    reranking.search([QUERY], 2)
    handle.remove()
    assert len(passes) == 1


class Asked:
    """A gallery that notes how many queries are searched together, and how deep."""

    def __init__(self, gallery):
        self._gallery, self.entries, self.asked = gallery, gallery.entries, []

    def search(self, queries, k, *, among=None):
        self.asked.append((len(queries), k))
        return self._gallery.search(queries, k, among=among)


@pytest.mark.parametrize("reranks", [False, True])
def test_what_one_image_is_given_does_not_depend_on_what_is_asked_of_others(network, reranks):
    """A deep search of one would be a deep one of all, which takes hundreds of times as long in a large gallery."""
    retriever = replace(retrievers(network, nearest=0, limit=2)[reranks])
    gallery = Asked(retriever.gallery)
    retriever = replace(retriever, gallery=gallery)
    images = retriever.forward([QUERY, BLANK, QUERY])
    deep, shallow = Wanted(500), Wanted(2)
    found = retriever.find(images, [shallow, deep, shallow])
    assert gallery.asked == [(2, 2), (1, 500)]
    assert found[0] == found[2] == retriever.find(retriever.forward([QUERY]), [shallow])[0]
    assert len(found[1].neighbours) == 4


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    trunk = make_trunk(LITE0, "offline")
    return RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS["multi_head"].architecture)).eval()


def retrievers(network, nearest, limit=30):
    """Retrievers without and with re-ranking, over a gallery in which one image has the embedding of the query."""
    bare = Retriever(network, SIZE, gallery_of(np.zeros((0, 1), np.float32)))
    vectors = bare.embed(IMAGES)
    vectors[nearest] = bare.embed([QUERY])[0]
    reranker = Reranker(extract(network, IMAGES, SIZE), None, 0.8, limit=limit, budget_ms=np.inf)
    gallery = gallery_of(vectors)
    return Retriever(network, SIZE, gallery), Retriever(network, SIZE, gallery, reranker)


def gallery_of(vectors):
    rows = np.arange(len(vectors))
    return LocalGallery(vectors, Entries.of(rows, rows.astype(str), tuple("abcd")))

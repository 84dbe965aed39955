import numpy as np
import pytest

from model.retrieval.galleries import local
from model.retrieval.galleries.exact import exact_search
from model.retrieval.galleries.recall import hold_out, sampled_rows
from model.retrieval.galleries.stored import load_gallery
from model.schemas.gallery_record import IndexPlan
from tests.support.galleries import SPACE, clustered

COUNT = 3000


@pytest.fixture(scope="module")
def drawn():
    return clustered(COUNT)


@pytest.fixture(scope="module")
def stored(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ivf") / "gallery"
    drawn.save(folder, SPACE, IndexPlan("ivf", min_recall=0.9))
    return load_gallery(folder, SPACE)


def test_the_recall_on_record_is_that_of_the_stored_index(drawn, stored):
    rows = sampled_rows(COUNT)
    recalls = hold_out(drawn.vectors, rows).recalls(stored.inverted.index.search)
    assert stored.index.queries == len(rows) == 1000
    assert stored.index.recall_at_10 == pytest.approx(recalls[500:].mean(), abs=1e-4)
    assert 0.9 <= stored.index.recall_at_10 < 1
    assert 1 <= stored.index.probes < stored.index.lists


def test_a_higher_recall_takes_more_probes_and_all_of_it_finds_all(drawn, stored, tmp_path):
    index = drawn.save(tmp_path / "gallery", SPACE, IndexPlan("ivf", min_recall=1.0)).index
    assert index.recall_at_10 == 1
    assert index.probes > stored.index.probes


def test_scores_are_those_of_exact_search(drawn, stored):
    scores, rows = stored.search(drawn.vectors[:50], 10)
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", drawn.vectors[:50], drawn.vectors[rows]), atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert rows[:, 0].tolist() == list(range(50))


def test_few_rows_are_searched_exactly(drawn, stored):
    among = drawn.entries.rows(label="class 3")
    _, rows = stored.search(drawn.vectors[:20], 10, among=among)
    assert np.array_equal(rows, exact_search(drawn.vectors, drawn.vectors[:20], 10, among)[1])


def test_among_many_rows_the_lists_are_searched_for_those_alone(drawn, stored, monkeypatch):
    import pytorch_metric_learning.utils.inference  # noqa: F401 # replaces methods of FAISS's indexes

    monkeypatch.setattr(local, "_EXACT_AMONG", 100)
    monkeypatch.setattr(local, "exact_search", None)  # the lists alone answer
    among = drawn.entries.rows(group="b")
    scores, rows = stored.search(drawn.vectors[:200], 10, among=among)
    assert np.isin(rows, among).all()
    truth, _ = exact_search(drawn.vectors, drawn.vectors[:200], 10, among)
    assert (scores >= truth[:, -1:] - 1e-6).mean() >= 0.9


def test_the_recall_of_many_neighbours_is_not_less(drawn, stored):
    truth, _ = exact_search(drawn.vectors, drawn.vectors[:200], 150)
    scores, _ = stored.inverted.search(drawn.vectors[:200], 150)
    assert (scores >= truth[:, -1:] - 1e-6).mean() >= 0.9


def test_more_neighbours_than_the_probed_lists_hold_are_all_found(drawn, stored):
    for k in (200, COUNT):
        _, rows = stored.search(drawn.vectors[:2], k)
        assert rows.shape == (2, k)
        assert len(set(rows[0].tolist())) == k


def test_only_a_query_whose_lists_hold_too_few_is_searched_exactly(drawn, stored, monkeypatch):
    def lacking(queries, k, among=None):
        scores, rows = exact_search(drawn.vectors, queries, k)
        scores[1, -1], rows[1, -1] = -2, -1
        return scores, rows

    def exactly(vectors, queries, *rest):
        asked.append(queries)
        return exact_search(vectors, queries, *rest)

    asked = []
    monkeypatch.setattr(type(stored.inverted), "search", lambda self, *what: lacking(*what))
    monkeypatch.setattr(local, "exact_search", exactly)
    _, rows = stored.search(drawn.vectors[:3], 10)
    assert np.array_equal(rows, exact_search(drawn.vectors, drawn.vectors[:3], 10)[1])
    (queries,) = asked
    assert np.array_equal(queries, drawn.vectors[1:2])


def test_rows_with_equal_vectors_come_in_their_order(tmp_path):
    drawn = clustered(90)
    drawn.vectors[[7, 40, 80]] = drawn.vectors[40]
    drawn.save(tmp_path / "gallery", SPACE, IndexPlan("ivf"))
    assert load_gallery(tmp_path / "gallery", SPACE).search(drawn.vectors[[40]], 3)[1].tolist() == [[7, 40, 80]]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_gallery_of_a_few_entries_may_have_lists(tmp_path, count):
    drawn = clustered(count)
    drawn.save(tmp_path / "gallery", SPACE, IndexPlan("ivf"))
    assert load_gallery(tmp_path / "gallery", SPACE).search(drawn.vectors, 1)[1][:, 0].tolist() == list(range(count))

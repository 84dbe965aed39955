import numpy as np
import pytest

from model.retrieval.galleries.exact import exact_search
from model.retrieval.galleries.recall import hold_out
from tests.support.galleries import clustered


def test_exact_search_has_a_recall_of_1_also_where_entries_are_equal():
    vectors = clustered(200).vectors
    vectors[50:100] = vectors[50]
    held_out = hold_out(vectors, np.arange(0, 200, 3))
    assert held_out.recalls(lambda queries, k: exact_search(vectors, queries, k)).tolist() == [1.0] * 67


def test_an_entry_does_not_count_as_its_own_neighbour():
    vectors = clustered(200).vectors
    held_out = hold_out(vectors, np.arange(20))

    def itself_alone(queries, k):
        scores, rows = exact_search(vectors, queries, k)
        return np.pad(scores[:, :1], ((0, 0), (0, k - 1))), np.pad(rows[:, :1], ((0, 0), (0, k - 1)), constant_values=-1)

    assert held_out.recalls(itself_alone).tolist() == [0.0] * 20


@pytest.mark.parametrize(("missed", "recall"), [(1, 0.9), (4, 0.6)])
def test_the_recall_is_the_share_of_ten_neighbours_that_is_found(missed, recall):
    vectors = clustered(200).vectors
    held_out = hold_out(vectors, np.arange(20))

    def without_the_first(queries, k):
        scores, rows = exact_search(vectors, queries, k + missed)
        keep = [0, *range(missed + 1, k + missed)]
        return scores[:, keep], rows[:, keep]

    assert held_out.recalls(without_the_first) == pytest.approx(recall)


def test_a_gallery_of_one_entry_has_nothing_to_miss():
    held_out = hold_out(clustered(1).vectors, np.arange(1))
    assert held_out.recalls(lambda queries, k: (queries, k)).tolist() == [1.0]

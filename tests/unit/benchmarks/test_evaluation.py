"""The benchmark of an evaluation's memory, at a small size."""

import tracemalloc

import numpy as np

from benchmarks import evaluation
from benchmarks.evaluation import answer, compare, draw, table


def test_drawn_embeddings_are_found_by_their_class_and_are_drawn_again_the_same():
    vectors, manifest = draw(200, 64), table(200)
    assert np.array_equal(vectors, draw(200, 64))
    found, pairs, named = answer(vectors, manifest)
    assert 0.1 < found.mean("map_at_r") < 1
    assert pairs.genuine_total.sum() == 200 * 9
    assert named.impostor_total.sum() == 200


def test_the_memory_of_three_sizes_is_measured():
    found = compare(2000)
    assert found["within"]
    assert 30 < found["at_a_tenth"]["resident_mb"] <= found["resident_mb"] < evaluation.LIMIT_MB
    assert found["queries"] == found["items"] == 2000


def test_no_more_than_a_part_of_all_pairs_is_in_memory():
    vectors, manifest = draw(6000, 16), table(6000)
    tracemalloc.start()
    answer(vectors, manifest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000**2 * 4 * 0.6, "all scores would take 144 MB, all of their places twice that"

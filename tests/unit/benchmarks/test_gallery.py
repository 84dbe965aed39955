import numpy as np
import pytest

from benchmarks.gallery import Classes, measure
from model.retrieval.gallery import check_embeddings


def test_entries_and_queries_of_one_class_are_near_and_are_drawn_again_the_same():
    classes = Classes.of(2000, 96)
    entries, queries = classes.draw(np.arange(200), seed=1), classes.draw(np.arange(200), seed=2)
    check_embeddings(entries)
    assert np.array_equal(entries, classes.draw(np.arange(200), seed=1))
    cosines = queries @ entries.T
    assert np.diag(cosines).mean() > cosines.mean() + 0.2
    assert (cosines.argmax(axis=1) == np.arange(200)).mean() > 0.3


@pytest.mark.slow
def test_every_figure_is_measured(tmp_path):
    figures = measure(3000, 32, tmp_path)
    assert {"p99_ratio", "second_worker_memory_ratio", "recall_at_10", "build_memory_ratio"} <= figures.keys()
    assert figures["recall_at_10"] >= 0.97
    assert all(value > 0 for value in figures.values())

"""A sample of queries and its figures, by hand."""

import numpy as np
import pytest

from model.evaluation.reranking import described, draw_sample, ranking_map_at_r, sample_figures
from model.retrieval.local_features import LocalFeatures
from model.retrieval.reranker import Reranker

ANGLES = np.float32([0, 8, 2, 10, 90])
"""Directions of five images: of each class the nearest is a wrong one."""
VECTORS = np.stack([np.cos(np.radians(ANGLES)), np.sin(np.radians(ANGLES))], axis=1)
LABELS = np.array([0, 0, 1, 1, 2])


def keypoints_of(label: int) -> LocalFeatures:
    """Nine keypoints on a grid, whose descriptors are those of the class alone."""
    descriptors = np.eye(27, dtype=np.float32)[9 * label : 9 * label + 9]
    positions = np.stack(np.meshgrid([8, 24, 40], [8, 24, 40]), axis=-1).reshape(-1, 2).astype(np.float32)
    return LocalFeatures(positions, np.full(9, 16, np.float32), np.ones(9, np.float32), descriptors, 48)


def test_map_at_r_by_hand():
    # R = 3: right at places 1 and 3, precisions 1/1 and 2/3; what comes later counts for nothing
    assert ranking_map_at_r(np.array([True, False, True, True])) == pytest.approx((1 + 2 / 3) / 3)


def test_a_sample_holds_queries_that_can_be_found_with_all_others_in_order():
    sample = draw_sample(VECTORS, LABELS)
    assert sorted(sample.queries) == [0, 1, 2, 3]  # the class of row 4 has no other image
    place = sample.queries.tolist().index(0)
    assert sample.order[place].tolist() == [2, 1, 3, 4]
    assert sample.right[place].tolist() == [False, True, False, False]
    assert sample.scores[place] == pytest.approx(np.cos(np.radians([2, 8, 10, 90])), abs=1e-6)
    assert sample.compared.tolist() == [0, 1, 2, 3, 4]


def test_distractors_are_candidates_and_no_queries():
    labels = np.array([0, 0, 1, 1, 1])
    sample = draw_sample(VECTORS, labels, first=2)
    assert sorted(sample.queries) == [0, 1]
    assert sample.order.shape == (2, 4)


def test_among_equal_scores_wrong_candidates_come_first():
    sample = draw_sample(np.tile(np.float32([1, 0]), (3, 1)), np.array([0, 0, 1]))
    assert not sample.right[:, 0].any()


def test_a_reranker_puts_right_what_the_global_search_confuses():
    sample = draw_sample(VECTORS, LABELS)
    before = sample_figures(sample, None)
    after = sample_figures(sample, Reranker([keypoints_of(label) for label in LABELS], None, 0.8))
    assert (before.map_at_r.tolist(), after.map_at_r.tolist()) == ([0] * 4, [1] * 4)
    found = described(sample.labels, before, after, ratio=0.8, tried_ratio=0.8)
    assert (found.map_at_r_before, found.map_at_r, found.gain, found.gain_interval) == (0, 1, 1, (1, 1))
    assert (found.recall_at_1_before, found.recall_at_1, found.queries) == (0, 1, 4)

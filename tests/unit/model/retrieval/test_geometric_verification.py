import itertools

import numpy as np
import pytest

from model.errors import InvalidInput
from model.retrieval.geometric_verification import (
    PLACES,
    Matches,
    count_inliers,
    matched_places,
    mutual_nearest,
    ranking_score,
    rerank,
    verify,
)
from model.retrieval.local_features import LocalFeatures

SIZE = 160


def features(positions, descriptors, scale=16.0):
    count = len(descriptors)
    descriptors = np.asarray(descriptors, np.float32)
    if count:
        descriptors = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    positions = np.asarray(positions, np.float32).reshape(-1, 2)
    return LocalFeatures(
        positions, np.full(count, scale, np.float32), np.linspace(1, 0.5, count, dtype=np.float32), descriptors, SIZE
    )


def scene(seed, count=30, dimensions=128):
    rng = np.random.default_rng(seed)
    return features(rng.uniform(0, SIZE, (count, 2)), rng.normal(size=(count, dimensions)))


def moved(query, linear, shift):
    """The same things seen under an affine map, listed in another order."""
    order = np.random.default_rng(1).permutation(len(query))
    return features((query.positions @ np.asarray(linear, np.float32).T + shift)[order], query.descriptors[order])


def every(query):
    rows = np.arange(len(query))
    return Matches(rows, rows, np.ones(len(query), np.float32))


NOTHING = features(np.empty((0, 2)), np.empty((0, 128)))
TURN = [[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]]


@pytest.mark.parametrize(
    ("linear", "shift"),
    [(np.eye(2), (20, -7)), (TURN, (3, 40)), ([[1.4, 0.3], [-0.2, 0.8]], (-10, 5)), (0.5 * np.eye(2), (0, 0))],
    ids=["translation", "rotation", "affine", "half the size"],
)
def test_an_affine_map_is_found_with_every_match_an_inlier(linear, shift):
    query = scene(0)
    candidate = moved(query, linear, shift)
    matches = mutual_nearest(query, candidate)
    assert len(matches) == len(query)
    assert verify(query, candidate, matches).all()


def test_outliers_among_the_matches_are_told_from_inliers():
    query = scene(0)
    positions = query.positions + np.float32([12, 9])
    positions[:10] = np.random.default_rng(5).uniform(200, 2000, (10, 2))
    mask = verify(query, features(positions, query.descriptors), every(query))
    assert not mask[:10].any()
    assert mask[10:].all()


def test_positions_at_random_give_few_inliers():
    counts = [verify(scene(a), scene(b), every(scene(a)), tolerance=0.5).sum() for a, b in ((1, 2), (3, 4), (5, 6))]
    assert max(counts) <= 8  # of 30


def test_things_not_alike_match_hardly_ever():
    assert count_inliers(scene(1), scene(2)) == 0


def test_three_matches_prove_nothing_and_four_that_agree_do():
    for count, inliers in ((0, 0), (2, 0), (3, 0), (4, 4)):
        query = scene(0, count=count) if count else NOTHING
        candidate = moved(query, np.eye(2), (8, 8)) if count else NOTHING
        assert count_inliers(query, candidate) == inliers


def test_a_mirror_image_is_no_view_of_the_same_thing():
    query = scene(0)
    assert not verify(query, moved(query, [[-1, 0], [0, 1]], (SIZE, 0)), every(query)).any()


def test_everything_shrunk_to_one_spot_is_no_view_of_the_same_thing():
    query = scene(0)
    spot = features(0.01 * query.positions + 80, query.descriptors)
    assert not verify(query, spot, every(query)).any()


def test_keypoints_on_one_line_do_not_break_it():
    line = features(np.stack([np.arange(10.0), np.arange(10.0)], 1), scene(0, 10).descriptors)
    assert len(verify(line, line, every(line))) == 10


def slow_mutual_nearest(query, candidate, threshold, ratio):
    """The same by a double loop, from distances."""

    def distance(a, b):
        return float(np.sqrt(max(0.0, 2 - 2 * float(np.dot(a.astype(np.float64), b.astype(np.float64))))))

    pairs = []
    for i, one in enumerate(query.descriptors):
        distances = [distance(one, other) for other in candidate.descriptors]
        j = min(range(len(distances)), key=distances.__getitem__)
        back = [distance(candidate.descriptors[j], other) for other in query.descriptors]
        first, second = (*sorted(distances), np.inf)[:2]
        mutual = min(range(len(back)), key=back.__getitem__) == i
        if mutual and 1 - first**2 / 2 >= threshold and (ratio >= 1 or first < ratio * second):
            pairs.append((i, j))
    return pairs


@pytest.mark.parametrize(("threshold", "ratio"), [(0.0, 1.0), (0.5, 1.0), (0.0, 0.8), (0.3, 0.9), (-1.0, 0.7)])
def test_mutual_nearest_is_what_a_double_loop_finds(threshold, ratio):
    found = []
    for seed in range(5):
        query, candidate = scene(seed, 25, 4), scene(seed + 50, 18, 4)
        matches = mutual_nearest(query, candidate, threshold=threshold, ratio=ratio)
        pairs = list(zip(matches.query.tolist(), matches.candidate.tolist(), strict=True))
        assert pairs == slow_mutual_nearest(query, candidate, threshold, ratio)
        found += pairs
    assert found


def test_a_match_says_how_alike_it_is():
    matches = mutual_nearest(features([[0, 0]], [[1, 0]]), features([[0, 0], [1, 1]], [[0, 1], [3, 4]]))
    assert (matches.query.tolist(), matches.candidate.tolist()) == ([0], [1])
    assert matches.similarity == pytest.approx([0.6])


def test_descriptors_of_different_lengths_are_refused():
    with pytest.raises(InvalidInput, match="lengths"):
        mutual_nearest(scene(0), scene(0, dimensions=64))


def test_the_candidate_that_lies_as_the_query_does_comes_first():
    query = scene(0)
    candidates = [scene(1), scene(2), moved(query, TURN, (5, 5))]
    result = rerank(query, candidates, np.float32([0.85, 0.8, 0.7]))
    assert result.order.tolist() == [2, 0, 1]
    assert result.inliers.tolist() == [30, 0, 0]
    assert (result.verified, result.ended) == (3, "limit")


def test_many_inliers_add_at_most_a_fifth_to_the_similarity():
    query = scene(0)
    result = rerank(query, [scene(1), moved(query, TURN, (5, 5))], np.float32([0.95, 0.7]))
    assert (result.order.tolist(), result.inliers.tolist()) == ([0, 1], [0, 30])
    assert ranking_score([0.5, 0.5, 0.5], [0, 15, 300]) == pytest.approx([0.5, 0.6, 0.7])


def test_equal_inliers_keep_the_global_order_and_equal_scores_the_given_one():
    query = scene(0)
    candidates = [scene(1), moved(query, np.eye(2), (4, 4)), scene(2), moved(query, np.eye(2), (9, 9)), scene(3)]
    result = rerank(query, candidates, np.float32([0.5, 0.62, 0.8, 0.7, 0.5]))
    assert result.order.tolist() == [3, 1, 2, 0, 4]


def test_beyond_the_limit_the_global_order_stays():
    query = scene(0)
    candidates = [scene(1), scene(2), scene(3), moved(query, np.eye(2), (4, 4))]
    result = rerank(query, candidates, np.float32([0.9, 0.8, 0.7, 0.6]), limit=3)
    assert result.order.tolist() == [0, 1, 2, 3]
    assert (result.verified, result.inliers.tolist()) == (3, [0, 0, 0, 0])


def test_when_the_time_is_spent_the_rest_keeps_the_global_order():
    query = scene(0)
    same = moved(query, np.eye(2), (4, 4))
    ticks = itertools.count(100.0, 0.04)  # 40 ms pass between two looks at the clock
    result = rerank(
        query, [scene(1), same, scene(2), same], np.float32([0.9, 0.8, 0.7, 0.6]), budget_ms=100, clock=lambda: next(ticks)
    )
    assert (result.verified, result.ended) == (2, "budget")
    assert result.order.tolist() == [1, 0, 2, 3]
    assert result.inliers.tolist() == [30, 0, 0, 0]


def test_no_candidate_is_read_beyond_limit_or_budget():
    class Stored(list):
        read = 0

        def __getitem__(self, row):
            Stored.read += 1
            return super().__getitem__(row)

    query = scene(0)
    rerank(query, Stored([scene(1)] * 5), np.arange(5, dtype=np.float32), limit=2)
    assert Stored.read == 2
    rerank(query, Stored([scene(1)] * 5), np.arange(5, dtype=np.float32), budget_ms=0)
    assert Stored.read == 2


def test_a_query_without_keypoints_keeps_the_global_order_and_says_so():
    result = rerank(NOTHING, [scene(1), scene(2)], np.float32([0.1, 0.2]))
    assert result.order.tolist() == [1, 0]
    assert (result.verified, result.ended) == (0, "no_keypoints")


def test_a_candidate_without_keypoints_has_no_inliers():
    query = scene(0)
    result = rerank(query, [NOTHING, query], np.float32([0.5, 0.4]))
    assert result.order.tolist() == [1, 0]
    assert result.inliers.tolist() == [30, 0]


def test_no_candidates_are_no_error():
    assert rerank(scene(0), [], np.empty(0, np.float32)).order.tolist() == []


def test_the_same_query_gives_the_same_answer_every_time():
    query = scene(0)
    noisy = query.positions + np.random.default_rng(7).normal(scale=9, size=query.positions.shape)
    candidate = features(noisy, query.descriptors)
    first = verify(query, candidate, every(query))
    assert 3 < first.sum() < 30
    np.random.default_rng(1).random(3)
    assert all((verify(query, candidate, every(query)) == first).all() for _ in range(5))


@pytest.mark.parametrize("scores", [[0.1, np.nan], [0.1, np.inf], [0.1]])
def test_scores_that_are_not_finite_or_too_few_are_refused(scores):
    with pytest.raises(InvalidInput, match="score"):
        rerank(scene(0), [scene(1), scene(2)], np.float32(scores))


def test_places_are_those_of_the_inliers_as_shares_of_each_image():
    query = scene(0)
    candidate = moved(query, np.eye(2), (40, 10))
    halved = LocalFeatures(candidate.positions / 2, candidate.scales, candidate.scores, candidate.descriptors, SIZE // 2)
    places = matched_places(query, halved)
    assert places.shape == (len(query), 4)
    assert places[:, 2:] == pytest.approx(places[:, :2] + np.array([0.25, 0.0625]), abs=1e-5)
    assert sorted(places[:, 0]) == pytest.approx(sorted(query.positions[:, 0] / SIZE))


def test_of_many_matches_the_most_similar_ones_are_named():
    query = scene(0, count=PLACES + 20)
    candidate = moved(query, np.eye(2), (4, 4))
    alike = mutual_nearest(query, candidate)
    noisy = candidate.descriptors.copy()
    worse = alike.candidate[:20]
    noisy[worse] += np.random.default_rng(2).normal(0, 0.02, noisy[worse].shape)
    places = matched_places(query, features(candidate.positions, noisy))
    assert len(places) == PLACES
    assert not np.isin(np.float32(places[:, 0]), query.positions[alike.query[:20], 0] / SIZE).any()


def test_images_that_do_not_match_have_no_places():
    assert matched_places(scene(1), scene(2)).shape == (0, 4)
    assert matched_places(NOTHING, scene(2)).shape == (0, 4)

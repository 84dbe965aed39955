import math
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InvalidInput, NotFound
from model.evaluation import metrics
from model.evaluation.metrics import PerQuery, as_embedded, evaluate_queries, evaluate_retrieval


def at(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane: the nearer the angle, the higher the score."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def one_query(gallery: np.ndarray, labels: list[int], ids: list[str] | None = None) -> PerQuery:
    """A query of class 0 at 0 degrees, called q."""
    ids = ids or [f"g{i}" for i in range(len(labels))]
    return evaluate_queries(as_embedded(at(0), [0], ["q"]), as_embedded(gallery, labels, ids))


def test_the_figures_of_a_small_search_are_those_worked_out_by_hand():
    # Right, wrong, right, wrong, right: R = 3, and P@1 = 1, P@3 = 2/3.
    found = one_query(at(1, 2, 3, 4, 5), [0, 1, 0, 1, 0])
    assert found.map_at_r[0] == pytest.approx((1 + 2 / 3) / 3)
    assert found.r_precision[0] == pytest.approx(2 / 3)
    assert found.recall[0].tolist() == [True, True, True, True]
    assert found.neighbours[0].tolist() == [0, 1, 2, 3, 4, -1, -1, -1, -1, -1]
    assert found.scores[0, :2] == pytest.approx([math.cos(math.radians(1)), math.cos(math.radians(2))])
    assert np.isneginf(found.scores[0, 5:]).all()


def test_a_right_item_behind_the_first_r_counts_for_recall_alone():
    found = one_query(at(3, 1, 2), [0, 1, 1])
    assert found.map_at_r[0] == found.r_precision[0] == 0
    assert found.recall[0].tolist() == [False, False, True, True]


def test_leaving_one_out_an_image_does_not_find_itself():
    found = evaluate_retrieval(at(0, 1, 90, 91), [0, 0, 1, 1], list("abcd"))
    assert found.neighbours[:, 0].tolist() == [1, 0, 3, 2]
    assert found.map_at_r.tolist() == [1, 1, 1, 1]
    assert (found.neighbours != np.arange(4)[:, None]).all()


def test_rows_that_share_the_querys_id_are_neither_found_nor_expected():
    # Two boxes of one image: without the rule, q would find its own twin and R would be 2.
    found = one_query(at(0, 5, 2), [0, 0, 1], ["q", "other", "wrong"])
    assert found.neighbours[0, :3].tolist() == [2, 1, -1]
    assert found.map_at_r[0] == 0
    assert found.recall[0].tolist() == [False, True, True, True]


def test_a_wrong_item_that_shares_the_querys_id_does_not_stand_in_the_way():
    assert one_query(at(0, 5), [1, 0], ["q", "right"]).map_at_r[0] == 1


@pytest.mark.parametrize("labels", [[0, 1], [1, 0]])
def test_of_two_equal_scores_the_wrong_one_comes_first(labels):
    found = one_query(at(10, 10), labels)
    assert found.neighbours[0, 0] == labels.index(1)
    assert not found.recall[0, 0]
    assert found.recall[0, 1]
    assert found.map_at_r[0] == 0


def test_a_tie_across_the_last_place_that_counts_goes_against_the_model():
    # R = 2: one right item first; then a right and two wrong ones tie for the second place.
    found = one_query(at(1, 10, 10, 10), [0, 0, 1, 1])
    assert found.map_at_r[0] == pytest.approx(1 / 2)
    assert found.neighbours[0, :4].tolist() == [0, 2, 3, 1]


def test_a_model_that_sees_everything_alike_finds_nothing():
    vectors = np.tile(np.full((1, 33), 33**-0.5, dtype=np.float32), (300, 1))
    found = evaluate_retrieval(vectors, np.arange(300) % 5, np.arange(300).astype(str))
    assert found.map_at_r.max() == 0
    assert not found.recall.any()


def test_equal_vectors_tie_to_the_last_bit_whatever_the_matrix_product_does_at_its_edges():
    random = np.random.default_rng(0)
    base = random.normal(size=(1009, 77)).astype(np.float32)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    gallery = np.concatenate([base, base])  # the first of each pair is right for class 0, its copy wrong
    labels = np.repeat([0, 1], 1009)
    queries = as_embedded(base[:7], np.zeros(7), [f"q{i}" for i in range(7)])
    found = evaluate_queries(queries, as_embedded(gallery, labels, np.arange(2018).astype(str)))
    assert found.neighbours[:, 0].tolist() == list(range(1009, 1016))
    assert found.neighbours[:, 1].tolist() == list(range(7))


def test_minus_zero_is_zero():
    gallery = np.array([[1.0, 0.0], [1.0, -0.0]], dtype=np.float32)
    repeated, first = metrics._repeated(gallery)
    assert (repeated.tolist(), first.tolist()) == ([1], [0])


def test_the_nearest_right_and_the_nearest_wrong_item_are_kept_however_far_down_they_are():
    found = one_query(at(*range(20), 60, 90), [0] * 20 + [1, 1])
    assert found.best_right[0] == 1
    assert found.best_wrong[0] == pytest.approx(0.5)
    assert one_query(at(60), [1]).best_right[0] == -np.inf
    assert one_query(at(60), [0]).best_wrong[0] == -np.inf


def test_figures_of_earlier_code_are_read_without_what_they_lack(tmp_path):
    found = evaluate_retrieval(at(0, 1, 90), [0, 0, 1], list("abc"))
    kept = {name: np.asarray(value) for name, value in vars(found).items() if not name.startswith("best_")}
    np.savez_compressed(tmp_path / "old.npz", **kept)
    loaded = PerQuery.load(tmp_path / "old.npz")
    assert np.array_equal(loaded.map_at_r, found.map_at_r)
    assert np.isnan(loaded.best_right).all()


def test_a_query_without_a_possible_match_is_kept_and_counts_in_no_mean():
    found = evaluate_retrieval(at(0, 1, 90), [0, 0, 1], list("abc"))
    assert len(found) == 3
    assert found.has_match.tolist() == [True, True, False]
    assert found.mean("map_at_r") == 1
    assert len(found.figures()["recall_at_1"]) == 2


def test_a_gallery_of_the_query_alone_is_no_match_and_no_error():
    found = evaluate_retrieval(at(0), [0], ["a"])
    assert not found.has_match.any()
    assert math.isnan(found.mean("map_at_r"))
    assert (found.neighbours == -1).all()


def by_the_book(vectors, labels, ids):
    """The definitions, item by item, with nothing shared with the code under test."""
    rows = []
    for q in range(len(labels)):
        candidates = [g for g in range(len(labels)) if ids[g] != ids[q]]
        score = {g: sum(float(a) * float(b) for a, b in zip(vectors[q], vectors[g], strict=True)) for g in candidates}
        order = sorted(candidates, key=lambda g: (-score[g], labels[g] == labels[q]))
        hits = [labels[g] == labels[q] for g in order]
        r = sum(hits)
        precision = sum(sum(hits[:i]) / i for i in range(1, r + 1) if hits[i - 1]) / r if r else 0
        rows.append((r > 0, [any(hits[:k]) for k in (1, 2, 4, 8)], precision, sum(hits[:r]) / r if r else 0))
    return rows


# Few directions, so that ties abound, all of them exact in float32.
DIRECTIONS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0.6, 0.8, 0), (0, -0.6, 0.8)]
SAMPLE = st.tuples(st.sampled_from(DIRECTIONS), st.integers(0, 3), st.integers(0, 12))


@settings(max_examples=150, deadline=None)
@given(st.lists(SAMPLE, min_size=1, max_size=24), st.integers(1, 60))
def test_the_figures_are_those_of_the_definitions(rows, cells):
    vectors, labels, numbers = (list(column) for column in zip(*rows, strict=True))
    vectors = np.array(vectors, dtype=np.float32)
    ids = [str(number) for number in numbers]
    before, metrics.MAX_ELEMENTS = metrics.MAX_ELEMENTS, cells  # whatever the size of a block
    try:
        found = evaluate_retrieval(vectors, labels, ids)
    finally:
        metrics.MAX_ELEMENTS = before
    for q, (has_match, recall, map_at_r, r_precision) in enumerate(by_the_book(vectors, labels, ids)):
        assert found.has_match[q] == has_match
        assert found.recall[q].tolist() == recall
        assert found.map_at_r[q] == pytest.approx(map_at_r)
        assert found.r_precision[q] == pytest.approx(r_precision)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf, 2.0, 0.0, 1e30])
def test_vectors_that_are_not_finite_and_of_length_1_are_refused_by_name(spoilt):
    vectors = at(0, 0, 0)
    vectors[1, 0] = spoilt
    with pytest.raises(InvalidInput, match=r"1 of 3 vectors.* b, of length"):
        evaluate_retrieval(vectors, [0, 0, 0], list("abc"))


def test_the_rounding_of_half_precision_is_borne():
    vectors = np.random.default_rng(0).normal(size=(50, 512))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    evaluate_retrieval(vectors, [0] * 50, np.arange(50).astype(str))


@pytest.mark.parametrize(
    ("vectors", "labels", "ids"),
    [(at(0, 1), [0], ["a", "b"]), (at(0, 1), [0, 0], ["a"]), (np.zeros((0, 2)), [], []), (np.ones(2), [0, 0], ["a", "b"])],
)
def test_arrays_that_do_not_fit_one_another_are_refused(vectors, labels, ids):
    with pytest.raises(InvalidInput, match="do not fit"):
        evaluate_retrieval(vectors, labels, ids)


def test_queries_and_a_gallery_of_different_dimensions_are_refused():
    with pytest.raises(InvalidInput, match="2 and a gallery of 1 dimensions"):
        evaluate_queries(as_embedded(at(0), [0], ["q"]), as_embedded([[1.0]], [0], ["g"]))


@pytest.mark.parametrize("ks", [(), (0, 1), (2, 4)])
def test_recall_at_1_is_always_measured(ks):
    with pytest.raises(InvalidInput, match="Recall@K"):
        evaluate_retrieval(at(0, 1), [0, 0], ["a", "b"], ks=ks)


def test_what_is_saved_is_loaded_and_the_same_figures_give_the_same_bytes(tmp_path):
    found = evaluate_retrieval(at(0, 1, 90), [0, 0, 1], ["a", "ä", "c"], ks=(1, 3))
    found.save(tmp_path / "one.npz")
    found.save(tmp_path / "two.npz")
    loaded = PerQuery.load(tmp_path / "one.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]
    assert loaded.ks == (1, 3)
    for name, value in vars(found).items():
        assert np.array_equal(value, getattr(loaded, name)), name


def test_a_file_that_holds_code_or_nothing_of_use_is_refused(tmp_path):
    good = tmp_path / "good.npz"
    evaluate_retrieval(at(0, 1), [0, 0], ["a", "b"]).save(good)
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:-200])
    np.savez(tmp_path / "pickled.npz", ids=np.array([print], dtype=object))
    with zipfile.ZipFile(good) as whole, zipfile.ZipFile(tmp_path / "less.npz", "w") as less:
        for name in whole.namelist()[1:]:
            less.writestr(name, whole.read(name))
    for name in ("text", "cut", "pickled", "less"):
        with pytest.raises(InvalidInput, match=f"{name}.npz does not hold"):
            PerQuery.load(tmp_path / f"{name}.npz")
    with pytest.raises(NotFound):
        PerQuery.load(tmp_path / "none.npz")

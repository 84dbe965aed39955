import numpy as np
import pytest

from model.errors import InvalidInput
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.gallery import check_embeddings


def unit(*degrees: float) -> np.ndarray:
    """Vectors at these angles on the unit circle, (N, 2) float32."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def gallery(*degrees: float) -> LocalGallery:
    count = len(degrees)
    entries = Entries.of(np.arange(count, dtype=np.int64) % 2, [f"{number}.jpg" for number in range(count)], ("ant", "bee"))
    return LocalGallery(unit(*degrees).reshape(-1, 2), entries)


def test_the_nearest_come_first_with_their_cosines():
    scores, rows = gallery(0, 90, 60, 180).search(unit(0, 75), 3)
    assert rows[0].tolist() == [0, 2, 1]
    assert scores[0].tolist() == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)
    assert sorted(rows[1, :2].tolist()) == [1, 2]
    assert scores[1].tolist() == pytest.approx([np.cos(np.pi / 12)] * 2 + [np.cos(np.radians(75))], abs=1e-6)


def test_equal_scores_come_in_the_order_of_the_rows():
    _, rows = gallery(90, 0, 90, 0, 90).search(unit(90), 3)
    assert rows[0].tolist() == [0, 2, 4]


def test_k_over_the_gallery_is_clamped():
    scores, rows = gallery(0, 90).search(unit(0), 1000)
    assert rows.tolist() == [[0, 1]]
    assert scores.shape == (1, 2)


def test_an_empty_gallery_finds_nothing():
    empty = LocalGallery(np.zeros((0, 2), np.float32), Entries.of(np.zeros(0, np.int64), [], ()))
    scores, rows = empty.search(unit(0, 1), 5)
    assert scores.shape == rows.shape == (2, 0)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k):
    with pytest.raises(InvalidInput, match=f"k must be at least 1, not {k}"):
        gallery(0).search(unit(0), k)


@pytest.mark.parametrize(
    "bad", [[np.nan, 0], [np.inf, 0], [0, 0], [2, 0], [1, 1]], ids=["nan", "inf", "zero", "long", "diagonal"]
)
def test_an_embedding_that_is_no_unit_vector_is_refused_in_gallery_and_query(bad):
    vectors = np.array([[1, 0], bad], np.float32)
    with pytest.raises(InvalidInput, match="not finite or not of length 1"):
        LocalGallery(vectors, Entries.of(np.zeros(2, np.int64), ["a", "b"], ("c",)))
    with pytest.raises(InvalidInput, match="not finite or not of length 1"):
        gallery(0, 90).search(vectors, 1)


def test_embeddings_are_a_matrix():
    with pytest.raises(InvalidInput, match="matrix"):
        check_embeddings(np.ones(3, np.float32))


def test_vectors_labels_and_ids_are_equally_many():
    with pytest.raises(InvalidInput, match="not equally many"):
        Entries.of(np.zeros(1, np.int64), ["a", "b"], ("c",))
    with pytest.raises(InvalidInput, match="not equally many"):
        LocalGallery(unit(0, 90), Entries.of(np.zeros(1, np.int64), ["a"], ("c",)))


def test_a_search_among_some_rows_finds_those_alone_also_beside_the_losses_that_change_faiss():
    import pytorch_metric_learning.utils.inference  # noqa: F401 # replaces methods of FAISS's indexes

    ants_and_bees = gallery(0, 10, 20, 30)
    scores, rows = ants_and_bees.search(unit(12), 3, among=np.array([0, 3]))
    assert rows.tolist() == [[0, 3]]
    assert scores[0].tolist() == pytest.approx([np.cos(np.radians(12)), np.cos(np.radians(18))], abs=1e-6)
    assert ants_and_bees.search(unit(12), 1)[1].tolist() == [[1]]

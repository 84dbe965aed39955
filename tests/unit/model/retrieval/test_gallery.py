import resource
import subprocess
import sys

import numpy as np
import pytest

from model.errors import InvalidInput
from model.files import read_json, write_json
from model.retrieval.gallery import Gallery, check_embeddings, load_gallery, load_matrix

SPACE = "0123456789abcdef"


def unit(*degrees: float) -> np.ndarray:
    """Vectors at these angles on the unit circle, (N, 2) float32."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def gallery(*degrees: float) -> Gallery:
    count = len(degrees)
    ids = np.array([f"{number}.jpg" for number in range(count)], dtype=str)
    return Gallery(unit(*degrees).reshape(-1, 2), np.arange(count, dtype=np.int64) % 2, ids, ("ant", "bee"))


def header(shape: str, descr: str = "<f4", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


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
    scores, rows = Gallery(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), np.zeros(0, dtype=str), ()).search(unit(0, 1), 5)
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
        Gallery(vectors, np.zeros(2, np.int64), np.array(["a", "b"]), ("c",))
    with pytest.raises(InvalidInput, match="not finite or not of length 1"):
        gallery(0, 90).search(vectors, 1)


def test_embeddings_are_a_matrix():
    with pytest.raises(InvalidInput, match="matrix"):
        check_embeddings(np.ones(3, np.float32))


def test_vectors_labels_and_ids_are_equally_many():
    with pytest.raises(InvalidInput, match="not equally many"):
        Gallery(unit(0, 90), np.zeros(1, np.int64), np.array(["a", "b"]), ("c",))


def test_what_was_saved_comes_back(tmp_path):
    saved = gallery(0, 45, 90)
    saved.save(tmp_path, SPACE)
    loaded = load_gallery(tmp_path, SPACE)
    assert loaded.classes == saved.classes
    for name in ("vectors", "labels", "ids"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
    assert loaded.vectors.dtype == np.float32


def test_a_gallery_of_another_space_is_refused(tmp_path):
    gallery(0, 90).save(tmp_path, SPACE)
    with pytest.raises(InvalidInput, match=f"of embedding space {SPACE}, not fedcba"):
        load_gallery(tmp_path, "fedcba9876543210")


def test_a_matrix_and_a_list_that_do_not_belong_together_are_refused(tmp_path):
    gallery(0, 90).save(tmp_path, SPACE)
    entries = read_json(tmp_path / "entries.json")
    write_json(tmp_path / "entries.json", entries | {"ids": entries["ids"][:1]})
    with pytest.raises(InvalidInput, match="not equally many"):
        load_gallery(tmp_path, SPACE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"no array at all",
        header("(2, 2)"),
        header("(2, 2)") + bytes(15),
        header("(2, 2)") + bytes(17),
        header("(2, 2)", "<f8") + bytes(32),
        header("(4,)") + bytes(16),
        header("(-2, -2)") + bytes(16),
        header("(2, 2)", "|O") + bytes(16),
        header("(1" + "0" * 60 + ", 1)") + bytes(16),
        header("(1" + "0" * 400 + ", 1)") + bytes(16),
        header("(__import__('os').getpid(), 1)") + bytes(16),
        header("(2, 2)", version=b"\x09\x00") + bytes(16),
        b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b"{",
    ],
)
def test_what_is_no_matrix_of_its_declared_size_is_refused(tmp_path, data):
    (tmp_path / "vectors.npy").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"vectors\.npy is "):
        load_matrix(tmp_path / "vectors.npy")


BOUNDED = """
import resource, sys
from pathlib import Path
from model.errors import InvalidInput
from model.retrieval.gallery import load_matrix

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_matrix(Path(sys.argv[1]))
except InvalidInput as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""


@pytest.mark.parametrize("sparse", [False, True], ids=["a short file", "a file as long as it says"])
def test_an_array_that_declares_32_gib_is_refused_with_bounded_memory(tmp_path, sparse):
    file = tmp_path / "vectors.npy"
    start = header(f"({2**23}, 1024)")
    file.write_bytes(start)
    if sparse:
        with file.open("r+b") as stream:
            stream.truncate(len(start) + 2**35)
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, file],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)),
    )
    grown, _, said = done.stdout.partition(" ")
    assert "is not the float32 matrix that its header declares" in said
    assert int(grown) < 16  # MiB


def test_a_search_among_some_rows_finds_those_alone_also_beside_the_losses_that_change_faiss():
    import pytorch_metric_learning.utils.inference  # noqa: F401 # replaces methods of FAISS's indexes

    ants_and_bees = gallery(0, 10, 20, 30)
    scores, rows = ants_and_bees.search(unit(12), 3, among=np.array([0, 3]))
    assert rows.tolist() == [[0, 3]]
    assert scores[0].tolist() == pytest.approx([np.cos(np.radians(12)), np.cos(np.radians(18))], abs=1e-6)
    assert ants_and_bees.search(unit(12), 1)[1].tolist() == [[1]]

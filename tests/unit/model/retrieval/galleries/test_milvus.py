"""Galleries in Milvus, by Milvus Lite: a real collection in a file."""

import subprocess
import sys

import numpy as np
import pytest

from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.files import read_json, write_json
from model.retrieval.galleries import milvus
from model.retrieval.galleries.exact import exact_search
from model.retrieval.galleries.stored import load_gallery
from model.schemas.gallery_record import IndexPlan
from tests.support.galleries import SPACE, clustered

COUNT = 600


@pytest.fixture(scope="module")
def drawn():
    return clustered(COUNT)


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_MILVUS_URI", str(tmp_path / "milvus.db"))


@pytest.fixture
def folder(drawn, address, tmp_path):
    drawn.save(tmp_path / "gallery", SPACE, IndexPlan("milvus"))
    return tmp_path / "gallery"


@pytest.fixture
def stored(folder):
    return load_gallery(folder, SPACE)


def test_a_gallery_in_milvus_answers_as_exact_search_does(drawn, stored):
    queries = clustered(20, seed=1).vectors
    scores, rows = stored.search(queries, 10)
    truth, expected = exact_search(drawn.vectors, queries, 10)
    assert (rows == expected).mean() > 0.95
    np.testing.assert_allclose(scores, truth, atol=1e-4)
    assert stored.entries.id_of(rows[0, 0]) == drawn.entries.id_of(expected[0, 0])


def test_its_release_holds_no_vectors_but_their_hash_their_number_and_the_recall(folder, stored):
    assert not (folder / "vectors.npy").exists()
    record = read_json(folder / "gallery.json")
    assert record["index"]["collection"] == milvus.collection_of(SPACE, record["vectors_sha256"])
    assert record["index"]["collection"].endswith(f"_{SPACE}_{record['vectors_sha256'][:32]}")
    assert (record["count"], record["embedding_space_id"]) == (COUNT, SPACE)
    assert stored.index.recall_at_10 >= 0.98
    assert stored.index.queries == COUNT


def test_a_search_among_some_rows_finds_those_alone(drawn, stored, monkeypatch):
    monkeypatch.setattr(milvus, "_AT_ONCE", 70)  # several requests
    among = drawn.entries.rows(group="b")
    scores, rows = stored.search(drawn.vectors[:5], 8, among=among)
    truth, expected = exact_search(drawn.vectors, drawn.vectors[:5], 8, among)
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, truth, atol=1e-4)
    assert stored.search(drawn.vectors[:2], 8, among=among[:3])[1].shape == (2, 3)
    assert stored.search(drawn.vectors[:2], 8, among=among[:0])[1].shape == (2, 0)


def test_its_vectors_can_be_read(drawn, stored):
    rows = np.array([5, 599, 0, 5])
    np.testing.assert_allclose(stored.embeddings(rows), drawn.vectors[rows], atol=1e-6)


def test_the_same_gallery_again_is_the_same_collection(drawn, folder, tmp_path):
    drawn.save(tmp_path / "again", SPACE, IndexPlan("milvus"))
    assert milvus.connect().list_collections() == [read_json(folder / "gallery.json")["index"]["collection"]]
    assert len(load_gallery(tmp_path / "again", SPACE)) == COUNT


def test_a_gallery_of_another_space_is_refused(folder):
    with pytest.raises(Conflict, match=f"of embedding space {SPACE}, not"):
        load_gallery(folder, "f" * 16)
    record = read_json(folder / "gallery.json")
    write_json(folder / "gallery.json", {**record, "embedding_space_id": "f" * 16})
    with pytest.raises(Conflict, match="not named for the vectors"):
        load_gallery(folder, "f" * 16)


def test_a_collection_whose_vectors_are_of_another_space_is_refused(folder):
    record, other = read_json(folder / "gallery.json"), "f" * 16
    name = milvus.collection_of(other, record["vectors_sha256"])
    milvus._create(milvus.connect(), name, f"space_{SPACE}", 16)
    forged = {**record, "embedding_space_id": other, "index": {**record["index"], "collection": name}}
    write_json(folder / "gallery.json", forged)
    with pytest.raises(Conflict, match=f"holds no vectors of embedding space {other}"):
        load_gallery(folder, other)


def test_a_collection_with_another_number_of_entries_is_refused(folder, stored):
    stored.client.delete(stored.index.collection, ids=[7])
    with pytest.raises(Conflict, match=f"has {COUNT - 1} entries, the gallery {COUNT}"):
        load_gallery(folder, SPACE)


def test_a_collection_belongs_to_the_registry_that_it_was_written_for_and_others_may_open_it(folder, monkeypatch):
    (name,) = milvus.own_collections()
    monkeypatch.setenv("GLOCAL_TRACKING_URI", "http://another.registry")
    assert milvus.own_collections() == []
    assert len(load_gallery(folder, SPACE)) == COUNT
    milvus.drop_collection(name)
    milvus.drop_collection(name)
    assert milvus.connect().list_collections() == []


def test_a_collection_that_is_gone_is_named(folder, stored):
    stored.client.drop_collection(stored.index.collection)
    with pytest.raises(NotFound, match=f"no collection glocal_[0-9a-f]{{8}}_{SPACE}"):
        load_gallery(folder, SPACE)


def test_a_search_in_a_collection_that_went_away_is_unavailable_and_not_wrong(drawn, stored):
    stored.client.drop_collection(stored.index.collection)
    with pytest.raises(Unavailable, match="Milvus at"):
        stored.search(drawn.vectors[:1], 3)


def test_without_an_address_the_message_says_what_to_set(drawn, tmp_path, monkeypatch):
    monkeypatch.delenv("GLOCAL_MILVUS_URI", raising=False)
    with pytest.raises(InvalidInput, match="no address of a Milvus server") as caught:
        drawn.save(tmp_path / "gallery", SPACE, IndexPlan("milvus"))
    assert "GLOCAL_MILVUS_URI" in caught.value.hint
    assert not (tmp_path / "gallery").exists()


def test_an_address_at_which_nothing_answers_is_named_without_its_password(folder, monkeypatch):
    monkeypatch.setattr(milvus, "_TIMEOUT_S", 1)
    monkeypatch.setenv("GLOCAL_MILVUS_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"http://user:\*\*\*@127.0.0.1:9") as caught:
        load_gallery(folder, SPACE)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


HNSW = """
import sys
from pathlib import Path
from model.retrieval.galleries import milvus
from model.retrieval.galleries.exact import exact_search
from model.schemas.gallery_record import IndexPlan
from model.retrieval.galleries.stored import load_gallery
from tests.support.galleries import SPACE, clustered

milvus._index_type = lambda address: "HNSW"
drawn, folder = clustered(600), Path(sys.argv[1])
drawn.save(folder, SPACE, IndexPlan("milvus"))
stored = load_gallery(folder, SPACE)
described = stored.client.describe_index(stored.index.collection, f"space_{SPACE}")
found, (_, expected) = stored.search(drawn.vectors[:50], 10), exact_search(drawn.vectors, drawn.vectors[:50], 10)
print(described["index_type"], stored.index.recall_at_10, (found[1] == expected).mean())
"""


def test_a_server_searches_along_a_graph(address, tmp_path):
    command = [sys.executable, "-c", HNSW, tmp_path / "gallery"]  # without pytorch-metric-learning, which changes FAISS
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.split()
    assert said[0] == "HNSW"
    assert float(said[1]) >= 0.98
    assert float(said[2]) >= 0.95


def test_more_neighbours_than_milvus_takes_are_refused(stored, drawn, monkeypatch):
    monkeypatch.setattr(milvus, "MOST_NEIGHBOURS", 50)
    with pytest.raises(InvalidInput, match="at most 50 neighbours"):
        stored.search(drawn.vectors[:1], 51)

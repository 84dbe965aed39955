import json

import numpy as np
import pytest

from model.errors import Conflict, InvalidInput, NotFound
from model.files import read_json, write_json
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.schemas.gallery_record import IndexPlan
from tests.support.galleries import SPACE, clustered


def save_as_before(gallery, folder):
    """Write a gallery as earlier revisions did."""
    folder.mkdir()
    np.save(folder / "vectors.npy", gallery.vectors)
    entries = {"embedding_space_id": SPACE, "classes": list(gallery.classes), "labels": gallery.labels.tolist()}
    entries |= {"ids": gallery.ids.tolist(), "groups": gallery.groups.tolist()}
    write_json(folder / "entries.json", entries)


@pytest.fixture
def folder(tmp_path):
    clustered(300).save(tmp_path / "gallery", SPACE, IndexPlan("ivf"))
    return tmp_path / "gallery"


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_what_was_saved_comes_back(tmp_path, kind):
    saved = clustered(300)
    record = saved.save(tmp_path / "gallery", SPACE, IndexPlan(kind))
    loaded = load_gallery(tmp_path / "gallery", SPACE)
    assert loaded.classes == saved.classes
    for name in ("vectors", "labels", "ids", "groups"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name)), name
    assert loaded.index == record.index
    assert loaded.index.kind == kind


def test_the_vectors_of_a_loaded_gallery_are_mapped(folder):
    assert isinstance(load_gallery(folder, SPACE).vectors.base, np.memmap)


def test_a_gallery_of_an_earlier_revision_is_read(tmp_path):
    saved = clustered(30)
    save_as_before(saved, tmp_path / "gallery")
    loaded = load_gallery(tmp_path / "gallery", SPACE)
    for name in ("vectors", "labels", "ids", "groups"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name)), name
    assert loaded.search(saved.vectors[:2], 1)[1].tolist() == [[0], [1]]


def test_a_damaged_gallery_of_an_earlier_revision_is_refused(tmp_path):
    save_as_before(clustered(30), tmp_path / "gallery")
    entries = read_json(tmp_path / "gallery" / "entries.json")
    write_json(tmp_path / "gallery" / "entries.json", entries | {"ids": entries["ids"][:1]})
    with pytest.raises(InvalidInput, match="not equally many"):
        load_gallery(tmp_path / "gallery", SPACE)


def test_a_gallery_of_another_space_is_refused(tmp_path, folder):
    save_as_before(clustered(30), tmp_path / "earlier")
    for each in (folder, tmp_path / "earlier"):
        with pytest.raises(Conflict, match=f"of embedding space {SPACE}, not fedcba"):
            load_gallery(each, "fedcba9876543210")


def test_an_index_of_other_vectors_is_refused(folder):
    np.save(folder / "vectors.npy", clustered(300, seed=1).vectors)
    with pytest.raises(Conflict, match="made from other vectors"):
        load_gallery(folder, SPACE)


def test_vectors_that_are_not_as_many_as_the_record_says_are_refused(folder):
    np.save(folder / "vectors.npy", clustered(299).vectors)
    with pytest.raises(InvalidInput, match="not as many"):
        load_gallery(folder, SPACE)


def test_a_folder_without_a_gallery_is_no_gallery(tmp_path):
    with pytest.raises(NotFound, match=r"gallery\.json"):
        load_gallery(tmp_path, SPACE)


def test_a_gallery_that_is_saved_again_keeps_nothing_of_the_first(tmp_path, folder):
    flat = load_gallery(folder, SPACE)
    LocalGallery(flat.vectors, flat.entries).save(folder, SPACE, IndexPlan("flat"))
    assert sorted(file.name for file in folder.iterdir()) == [
        "gallery.json",
        "groups.npy",
        "id_ends.npy",
        "ids.npy",
        "labels.npy",
        "vectors.npy",
    ]
    assert load_gallery(folder, SPACE).search(flat.vectors[:1], 1)[1].tolist() == [[0]]


def test_a_gallery_above_the_set_size_gets_lists(tmp_path):
    kinds = [clustered(30).save(tmp_path / str(most), SPACE, IndexPlan(flat_up_to=most)).index.kind for most in (30, 29)]
    assert kinds == ["flat", "ivf"]


@pytest.mark.parametrize("name", ["centroids.npy", "sizes.npy", "lists.bin"])
def test_a_cut_or_missing_file_of_the_lists_is_refused(folder, name):
    file = folder / "ivf" / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InvalidInput):
        load_gallery(folder, SPACE)
    file.unlink()
    with pytest.raises(InvalidInput):
        load_gallery(folder, SPACE)


def test_lists_with_a_row_beyond_the_gallery_or_twice_are_refused(folder):
    file, sizes = folder / "ivf" / "lists.bin", np.load(folder / "ivf" / "sizes.npy")
    data = bytearray(file.read_bytes())
    end = int(sizes[0]) * (16 * 4 + 8)
    first = bytes(data[end - 8 * int(sizes[0]) :][:8])
    for forged in ((10**9).to_bytes(8, "little"), (-1).to_bytes(8, "little", signed=True), first):
        data[-8:] = forged
        file.write_bytes(data)
        with pytest.raises(InvalidInput, match="not those of this gallery"):
            load_gallery(folder, SPACE)


def test_sizes_of_lists_that_no_gallery_has_are_refused(folder):
    file = folder / "ivf" / "sizes.npy"
    sizes = np.load(file)
    for forged in ([-1, sizes[0] + sizes[1] + 1], [2**62, -(2**62)], [sizes[0] + 1, sizes[1]]):
        np.save(file, np.concatenate([forged, sizes[2:]]))
        with pytest.raises(InvalidInput, match="not those of this gallery"):
            load_gallery(folder, SPACE)


@pytest.mark.parametrize("probes", [0, 10**6])
def test_a_record_with_an_impossible_number_of_probes_is_refused(folder, probes):
    record = read_json(folder / "gallery.json")
    record["index"]["probes"] = probes
    (folder / "gallery.json").write_text(json.dumps(record))
    with pytest.raises(InvalidInput):
        load_gallery(folder, SPACE)

"""Files of a release that are not what they should be: refused by format, before anything runs or fills the memory."""

import pickle
import shutil
import struct

import pytest

from model.errors import InvalidInput
from model.files import read_json, sha256_file, write_json
from model.release import RELEASE_MANIFEST, open_release
from serving.engine.engine import Engine
from tests.support.memory import Peak
from tests.support.releases import make_release


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("files") / "release")


@pytest.fixture
def folder(sealed, tmp_path):
    return shutil.copytree(sealed.folder, tmp_path / "release")


def forge(folder, name, data):
    """Put other bytes in a release and make its manifest agree, as somebody who can write there could."""
    (folder / name).write_bytes(data)
    manifest = read_json(folder / RELEASE_MANIFEST)
    manifest["files"][name] = {"sha256": sha256_file(folder / name), "size": len(data)}
    write_json(folder / RELEASE_MANIFEST, manifest)


def refused(folder):
    """Both by what serves it, and whether or not the space it claims was forged too."""
    from model.release import space_id

    open_release(folder)
    manifest = read_json(folder / RELEASE_MANIFEST)
    write_json(folder / RELEASE_MANIFEST, {**manifest, "embedding_space_id": space_id(folder)})
    with pytest.raises(InvalidInput) as caught:
        Engine(folder)
    return str(caught.value)


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_a_pickle_where_weights_belong_is_refused_and_runs_nothing(folder, tmp_path):
    mark = tmp_path / "executed"
    forge(folder, "weights.safetensors", pickle.dumps(Bomb(mark)))
    assert "does not hold the weights" in refused(folder)
    assert not mark.exists()


def test_a_pickle_where_the_gallery_belongs_is_refused_and_runs_nothing(folder, tmp_path):
    mark = tmp_path / "executed"
    forge(folder, "gallery/vectors.npy", pickle.dumps(Bomb(mark)))
    assert "vectors.npy" in refused(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 90 * 2**20) + b"{}",
        struct.pack("<Q", 2**64 - 1),
        b"\x08",
        struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1099511627776]}'[:62],
    ],
    ids=["huge", "bloated", "overflow", "cut", "offsets"],
)
def test_safetensors_with_a_bad_header_are_refused_in_bounded_memory(folder, data):
    forge(folder, "weights.safetensors", data)
    refused(folder)  # what is imported and allocated once is there from now on
    with Peak() as peak:
        assert "does not hold the weights" in refused(folder)
    assert peak.mb < 64


def test_an_array_that_declares_32_gib_is_refused_in_bounded_memory(folder):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (16777216, 512), }"
    header += b" " * (117 - len(header)) + b"\n"
    forge(folder, "gallery/vectors.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    refused(folder)
    with Peak() as peak:
        assert "vectors.npy" in refused(folder)
    assert peak.mb < 64


def test_a_flipped_byte_a_missing_and_an_extra_file_are_refused(folder):
    weights = folder / "weights.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(InvalidInput, match="was changed: weights"):
        Engine(folder)
    weights.unlink()
    with pytest.raises(InvalidInput, match="misses weights"):
        Engine(folder)
    weights.write_bytes(good)
    (folder / "gallery" / "more.npy").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"more\.npy"):
        Engine(folder)

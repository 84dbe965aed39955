import resource
import subprocess
import sys

import numpy as np
import pytest

from model.errors import InvalidInput
from model.retrieval.galleries.arrays import map_array


def header(shape: str, descr: str = "<f4", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


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
        map_array(tmp_path / "vectors.npy", np.float32, dimensions=2)


BOUNDED = """
import resource, sys
from pathlib import Path
from model.errors import InvalidInput
from model.retrieval.galleries.arrays import map_array

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    map_array(Path(sys.argv[1]), "float32", dimensions=2)
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


def test_an_array_is_mapped_and_cannot_be_written_to(tmp_path):
    np.save(tmp_path / "labels.npy", np.arange(3))
    mapped = map_array(tmp_path / "labels.npy", np.int64)
    assert mapped.tolist() == [0, 1, 2]
    assert type(mapped) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def test_an_array_without_elements_is_read(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((0, 4), np.float32))
    assert map_array(tmp_path / "vectors.npy", np.float32, dimensions=2).shape == (0, 4)


def test_an_array_of_another_type_or_shape_is_refused(tmp_path):
    np.save(tmp_path / "labels.npy", np.arange(4, dtype=np.int32))
    with pytest.raises(InvalidInput, match="not the int64 array"):
        map_array(tmp_path / "labels.npy", np.int64)
    np.save(tmp_path / "labels.npy", np.asfortranarray(np.eye(4, 3, dtype=np.float32)))
    with pytest.raises(InvalidInput, match="not the float32 matrix"):
        map_array(tmp_path / "labels.npy", np.float32, dimensions=2)

"""Arrays on disk that something else damaged."""

import numpy as np
import pytest

from model.data.cache.stored_arrays import stored_arrays

ROWS = 4


def count_up(done):
    """The batches of rows 0 to 3, two by two."""
    for begin in range(done, ROWS, 2):
        yield (np.arange(begin, begin + 2)[:, None].repeat(3, axis=1),)


def opened(cache, told):
    (found,) = stored_arrays(cache, ("one",), ROWS, count_up, told.append)
    return found[:, 0].tolist()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "gone", "of other rows"])
def test_a_damaged_cache_is_computed_again(tmp_path, damage):
    cache = tmp_path / "cache"
    assert opened(cache, []) == [0, 1, 2, 3]
    file = cache / "one.npy"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    elif damage == "of other rows":
        np.save(file, np.zeros((ROWS - 1, 3)))
    elif damage == "gone":
        file.unlink()
    else:
        file.write_text("" if damage == "empty" else "no array")
    assert opened(cache, []) == [0, 1, 2, 3]
    assert opened(cache, told := []) == [0, 1, 2, 3]
    assert told == []


@pytest.mark.parametrize("damage", ["done.json", "one.npy"])
def test_a_killed_computation_whose_files_are_damaged_starts_anew(tmp_path, damage):
    partial = tmp_path / "cache.partial"
    opened(tmp_path / "cache", [])
    (tmp_path / "cache").rename(partial)
    (partial / "done.json").write_text("2")
    (partial / damage).write_text("{")
    assert opened(tmp_path / "cache", told := []) == [0, 1, 2, 3]
    assert told == [2, 4]

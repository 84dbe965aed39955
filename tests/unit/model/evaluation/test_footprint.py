"""The memory of a release at work. `test_evaluate` measures a whole one."""

import pytest

from model.errors import Unavailable
from model.evaluation.footprint import measure_memory


def test_a_release_that_does_not_open_is_an_error_in_one_line(tmp_path):
    with pytest.raises(Unavailable, match="gave no answer in a process of its own") as caught:
        measure_memory(tmp_path, [tmp_path / "a.jpg"])
    assert "Free memory" in caught.value.hint

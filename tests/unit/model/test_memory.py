import cv2
import numpy as np
import pytest
import torch

from model.memory import is_out_of_memory

TOO_MANY = 2**45


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bytearray(TOO_MANY),
        lambda: np.empty(TOO_MANY),
        lambda: torch.empty(TOO_MANY),
        lambda: cv2.resize(np.zeros((1, 1, 4)), (2**31 - 1, 2**15)),
    ],
    ids=["python", "numpy", "torch", "opencv"],
)
def test_memory_that_no_machine_has_is_refused_in_a_way_that_is_understood(ask):
    with pytest.raises(Exception) as caught:  # noqa: PT011 # each library has an error of its own
        ask()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("shapes do not fit"), OSError(28, "No space left on device")])
def test_another_error_says_nothing_of_memory(error):
    assert not is_out_of_memory(error)

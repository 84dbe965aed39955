import pytest

from model.data.decoding.limits import MAX_BYTES, MAX_PIXELS, MAX_RATIO, MAX_SIDE, ImageLimits
from model.data.decoding.refusals import Oversized


@pytest.mark.parametrize("size", [(1, 1), (1, MAX_RATIO), (MAX_SIDE, 3000), (10_000, 10_000), (1, 100), (100, 1)])
def test_what_is_within_every_limit_is_taken(size):
    ImageLimits().check_size(*size)


@pytest.mark.parametrize(
    ("width", "height", "why"),
    [
        (1, 5_000_000, f"longer than {MAX_SIDE}"),
        (2_000_000, 1, f"longer than {MAX_SIDE}"),
        (MAX_SIDE + 1, 3000, f"longer than {MAX_SIDE}"),
        (10_000, 10_001, f"more than {MAX_PIXELS}"),
        (1, MAX_RATIO + 1, f"more than {MAX_RATIO} times"),
        (10_000, 99, f"more than {MAX_RATIO} times"),
    ],
)
def test_what_passes_a_limit_is_told_its_size_and_the_limit(width, height, why):
    with pytest.raises(Oversized, match=why) as caught:
        ImageLimits().check_size(width, height)
    assert f"{width} x {height}" in caught.value.headline
    assert caught.value.hint


def test_bytes_are_counted():
    ImageLimits().check_bytes(MAX_BYTES)
    with pytest.raises(Oversized, match=f"{MAX_BYTES + 1} bytes"):
        ImageLimits().check_bytes(MAX_BYTES + 1)

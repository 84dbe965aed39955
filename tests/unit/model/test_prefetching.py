import threading
from functools import partial

import pytest

from model.prefetching import prefetch


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads):
    assert list(prefetch((partial(pow, n, 2) for n in range(20)), threads)) == [n * n for n in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_is_made_than_can_be_used_soon(threads):
    taken = []
    results = prefetch((partial(taken.append, n) for n in range(100)), threads)
    for used in range(1, 6):
        next(results)
        assert len(taken) <= used + threads


@pytest.mark.parametrize("threads", [0, 2])
def test_a_failure_comes_out_where_its_result_would(threads):
    results = prefetch((partial(divmod, 1, n) for n in (1, 0, 1)), threads)
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_runs_on_when_nobody_wants_more():
    before = threading.active_count()
    results = prefetch((partial(pow, n, 2) for n in range(100)), 2)
    next(results)
    results.close()
    assert threading.active_count() == before

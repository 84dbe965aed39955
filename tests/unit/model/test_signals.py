import os
import signal

import pytest

from model.signals import ended_by_signals, signal_of


def interrupted(number, exit_code):
    """Send this process a signal within the block."""
    with ended_by_signals(exit_code):
        try:
            os.kill(os.getpid(), number)
        finally:
            assert signal.getsignal(number) == signal.SIG_DFL  # the next one ends the process


@pytest.mark.parametrize(
    ("number", "exit_code", "code"), [(signal.SIGTERM, None, 143), (signal.SIGHUP, None, 129), (signal.SIGTERM, 0, 0)]
)
def test_the_first_signal_leaves_the_block_and_the_second_one_would_end_the_process(number, exit_code, code):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as left:
            interrupted(number, exit_code)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert left.value.code == code


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("code", "number"), [(0, 0), (1, 0), (6, 0), (-9, 9), (137, 9), (143, 15), (255, 0)])
def test_a_signal_is_read_from_an_exit_code_of_a_process_or_a_shell(code, number):
    assert signal_of(code) == number

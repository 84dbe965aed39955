import pytest
from kfp.local import subprocess_task_handler as handler

from pipelines.runners.signals import signal_of, watch_steps


@pytest.mark.parametrize(("code", "number"), [(0, 0), (1, 0), (6, 0), (-9, 9), (137, 9), (143, 15), (255, 0)])
def test_a_signal_is_read_from_an_exit_code_of_a_process_or_a_shell(code, number):
    assert signal_of(code) == number


def test_a_killed_step_is_noted_and_one_that_failed_is_not(monkeypatch):
    monkeypatch.setattr(handler, "run_local_subprocess", handler.run_local_subprocess)  # put back at the end
    signals = watch_steps()
    for script in ("exit 0", "exit 2", "kill -9 $$", "sh -c 'kill -9 $$'; exit $?"):
        handler.run_local_subprocess(["sh", "-c", script])
    assert signals == [9, 9]

from kfp.local import subprocess_task_handler as handler

from pipelines.runners.killed_steps import watch_steps


def test_a_killed_step_is_noted_and_one_that_failed_is_not(monkeypatch):
    monkeypatch.setattr(handler, "run_local_subprocess", handler.run_local_subprocess)  # put back at the end
    signals = watch_steps()
    for script in ("exit 0", "exit 2", "kill -9 $$", "sh -c 'kill -9 $$'; exit $?"):
        handler.run_local_subprocess(["sh", "-c", script])
    assert signals == [9, 9]

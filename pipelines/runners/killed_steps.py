"""Steps of KFP's local runner that a signal ended: KFP keeps no exit code, and a killed step cannot report its own end."""

from model.signals import signal_of


def watch_steps() -> list[int]:
    """The signals that end steps of KFP's local runner in this process from now on; the list grows with each of them."""
    from kfp.local import subprocess_task_handler as handler

    run, signals = handler.run_local_subprocess, []

    def run_and_note(*arguments: object, **named: object) -> int:
        code: int = run(*arguments, **named)
        if number := signal_of(code):
            signals.append(number)
        return code

    handler.run_local_subprocess = run_and_note
    return signals

"""Signals that killed the runner or one of its steps, from exit codes. A killed process cannot report its own end."""

KILLED = 128
"""Exit code of a shell, less the number of the signal that killed its command."""
_LAST = 64
"""Highest number of a signal on Linux."""


def signal_of(code: int) -> int:
    """Number of the signal that killed a process, or the command of a shell, by its exit code; 0 if none did."""
    number = -code if code < 0 else code - KILLED
    return number if 0 < number <= _LAST else 0


def watch_steps() -> list[int]:
    """The signals that kill steps of KFP's local runner in this process from now on; the list grows with each of them."""
    from kfp.local import subprocess_task_handler as handler

    run, signals = handler.run_local_subprocess, []

    def run_and_note(*arguments: object, **named: object) -> int:
        code: int = run(*arguments, **named)
        if number := signal_of(code):
            signals.append(number)
        return code

    handler.run_local_subprocess = run_and_note
    return signals

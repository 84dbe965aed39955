"""How an error is shown: one line and a hint on standard error, and the exit code. A stack trace goes to a file."""

import signal
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from model.disk import system_error
from model.environment import Environment
from model.errors import GlocalError
from model.redaction import redacted
from model.signals import SIGNALLED, signal_of
from model.text import visible
from pipelines.cli.console import say

STOPPED = SIGNALLED + signal.SIGINT
"""Exit code after Ctrl-C."""
_LONGEST = 300
"""Characters of what a person typed that an error repeats."""


def show_error(error: BaseException) -> int:
    """Show an error that ended a command; returns the exit code."""
    for kind, show in _SHOWN_BY:
        if isinstance(error, kind):
            return show(error)
    return _unforeseen(error)


def _exit(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        code = error.code or 0
        return _stopped(code) if signal_of(code) else code
    say(str(error.code))
    return 1


def _interrupted(_: BaseException) -> int:
    return _stopped(STOPPED)


def _stopped(code: int) -> int:
    say("Stopped. The same command resumes.")
    return code


def _typed(error: TyperException) -> int:
    """What was typed is no command or has a wrong option. Nothing is said where the help was shown instead."""
    if said := error.format_message():
        context = getattr(error, "ctx", None)
        shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
        say(f"Error: {visible(shown)}\n  See {context.command_path if context else 'glocal'} --help.")
    return 2


def _of_the_environment(error: ValidationError) -> int:
    """A variable has a wrong value. Configurations are explained where they are read."""
    first = error.errors()[0]
    say(f"Error: GLOCAL_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}, not {first['input']!r}.")
    return 2


def _explained(error: GlocalError) -> int:
    from model.data.importing.findings import Rejected, shown

    say(visible(f"Error: {error.headline}"))
    if isinstance(error, Rejected):
        for line in shown(error.findings.defects, error.report):
            say(visible(f"  {line}"))
    if error.hint:
        say(visible(f"  {error.hint}"))
    return error.exit_code


def _unforeseen(error: BaseException) -> int:
    """An error of the system is explained; a fault of ours is one line for the person, and its trace goes to a file."""
    if refused := system_error(error, Environment().home.root, "Is GLOCAL_HOME a folder that can be written to?"):
        return _explained(refused)
    with tempfile.NamedTemporaryFile("w", prefix="glocal-", suffix=".log", delete=False) as log:
        log.write(redacted("".join(traceback.format_exception(error))))
    say(visible(f"Error: {type(error).__name__}: {error}"))
    say(f"  This is a fault of glocal's. The trace is in {log.name}.")
    return 1


_SHOWN_BY: tuple[tuple[type[BaseException], Callable[[Any], int]], ...] = (
    (SystemExit, _exit),
    (KeyboardInterrupt, _interrupted),
    (typer.Abort, _interrupted),
    (TyperException, _typed),
    (ValidationError, _of_the_environment),
    (GlocalError, _explained),
)

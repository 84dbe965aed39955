"""The command line as a person uses it, in a home of its own, and the processes that it started."""

import contextlib
import json
import os
import subprocess
import sys

import psutil


def command(*arguments):
    """The words of a `glocal` command."""
    return [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]


def run_command(source, name, settings):
    """The words of `glocal run --json`."""
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return command("run", "--data", source, "--name", name, *options, "--json")


def begin(home, words, *, variables=None, **streams):
    """Start a command, with further environment variables."""
    return subprocess.Popen(words, env=os.environ | {"GLOCAL_HOME": str(home), **(variables or {})}, text=True, **streams)


def glocal(home, words, timeout=480, **variables):
    """Run a command to its end: exit code, standard output, standard error. No stack trace may be in either."""
    with begin(home, words, variables=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, error = process.communicate(timeout=timeout)
        finally:
            process.kill()
    assert "Traceback" not in out + error, (out + error)[-4000:]
    return process.returncode, out, error


def last_line(out):
    """The JSON object that is the last line of standard output."""
    return json.loads(out.strip().splitlines()[-1])


def processes(home):
    """Everything alive that was started for a home."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            named = each.environ().get("GLOCAL_HOME") == str(home) or str(home) in " ".join(each.cmdline())
            if named and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def end(home):
    """End everything that was started for a home."""
    for each in processes(home):
        with contextlib.suppress(psutil.Error):
            each.kill()

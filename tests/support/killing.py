"""A process that is killed at a point of its work: one that a test starts, or the process of a pipeline's step."""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

_POINT = "GLOCAL_TEST_KILL_AT"
"""Environment variable that names the point: step, target, count, when."""
_ROOT = Path(__file__).parents[2]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from tests.support.killing import hook; "


def kill_at(target, count, when, action, *arguments, armed_by=""):
    """Run Python code in a process that is killed by SIGKILL at a point.

    Args:
        target: Dotted name of the function at which it is killed.
        count: Which of its calls.
        when: `before` or `after` that call.
        action: The code, which finds `arguments` as a list of texts.
        arguments: What the code is given.
        armed_by: Dotted name of a function; calls of the target before it has returned do not count.
    """
    code = _START + "arguments = sys.argv[6:]; hook(*sys.argv[1:5]); exec(sys.argv[5])"
    words = [target, str(count), when, armed_by, action, *map(str, arguments)]
    done = subprocess.run([sys.executable, "-c", code, *words], check=False)
    assert done.returncode == -signal.SIGKILL, "the point was never reached"


def killing_run(folder, step, target, count, when):
    """The environment of a `glocal` command whose pipeline is killed, with the step that is under way, at a point of that step.

    See `kill_at` for the point. The command itself lives on, and says that it was killed.

    Args:
        folder: Folder for a module that every Python process of the command imports at its start.
        step: Name of the step's function.
    """
    guard = f"import os\nif '{_POINT}' in os.environ:\n    {_START.replace('hook', 'hook_step')}hook_step()\n"
    (folder / "sitecustomize.py").write_text(guard)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{_ROOT}", _POINT: json.dumps([step, target, count, when])}


def hook_step():
    """Hook the point that the environment names, if this is the process of its step."""
    step, *point = json.loads(os.environ[_POINT])
    words = dict(zip(sys.orig_argv, sys.orig_argv[1:], strict=False))
    if words.get("--function_to_execute") == step:
        hook(*point, kill=lambda: os.killpg(0, signal.SIGKILL))  # KFP would try a step again that died alone


def hook(target, count, when, armed_by="", kill=lambda: os.kill(os.getpid(), signal.SIGKILL)):
    """Make this process kill itself at a point; see `kill_at`."""
    calls, armed = [], not armed_by
    owner, name = _owner(target)
    real = getattr(owner, name)

    def hooked(*args, **named):
        if not armed:
            return real(*args, **named)
        calls.append(1)
        if len(calls) == int(count) and when == "before":
            kill()
        done = real(*args, **named)
        if len(calls) == int(count):
            kill()
        return done

    setattr(owner, name, hooked)
    if armed_by:
        arming_owner, arming_name = _owner(armed_by)
        arming = getattr(arming_owner, arming_name)

        def arm(*args, **named):
            nonlocal armed
            done = arming(*args, **named)
            armed = True
            return done

        setattr(arming_owner, arming_name, arm)


def _owner(target):
    """The module or class that has the function of a dotted name, and the function's own name."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:cut]))
            break
        except ImportError:
            continue
    for part in parts[cut:-1]:
        owner = getattr(owner, part)
    return owner, parts[-1]

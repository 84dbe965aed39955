"""A process that is killed at a point of its work."""

import signal
import subprocess
import sys

_HOOKED = """
import importlib, os, signal, sys
target, count, when, armed_by, action, *arguments = sys.argv[1:]
def owner_of(name):
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:cut])); break
        except ImportError:
            continue
    for part in parts[cut:-1]:
        owner = getattr(owner, part)
    return owner, parts[-1]
import serving.promotion, serving.backends.torchserve.backend, mlflow
calls, armed = [], [] if armed_by else [1]
owner, name = owner_of(target)
real = getattr(owner, name)
def hooked(*args, **kwargs):
    if not armed:
        return real(*args, **kwargs)
    calls.append(1)
    if len(calls) == int(count) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = real(*args, **kwargs)
    if len(calls) == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
if armed_by:
    arming_owner, arming_name = owner_of(armed_by)
    arming = getattr(arming_owner, arming_name)
    def arm(*args, **kwargs):
        done = arming(*args, **kwargs)
        armed.append(1)
        return done
    setattr(arming_owner, arming_name, arm)
setattr(owner, name, hooked)
exec(action)
"""


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
    words = [target, str(count), when, armed_by, action, *map(str, arguments)]
    done = subprocess.run([sys.executable, "-c", _HOOKED, *words], check=False)
    assert done.returncode == -signal.SIGKILL, "the point was never reached"

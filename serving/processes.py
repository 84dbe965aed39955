"""What the processes of the endpoint have in common: a clean environment, and how they are waited for."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_KEPT = ("PATH", "HOME", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE")
_UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


def clean_environment() -> dict[str, str]:
    """The environment of a server: no secrets, the locale UTF-8, whatever the user's is, and this code on the path."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **_UTF_8, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}


def gallery_environment() -> dict[str, str]:
    """The address and the token of the Milvus server, if any is set, for workers whose gallery may lie there."""
    return {name: os.environ[name] for name in ("GLOCAL_MILVUS_URI", "GLOCAL_MILVUS_TOKEN") if os.environ.get(name)}


def wait_until(done: Callable[[], bool], *, deadline_s: float, pause_s: float = 0.1) -> bool:
    """Call `done` until it returns true; returns whether it did so before the deadline."""
    deadline = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True

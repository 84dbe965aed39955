"""The endpoint of a home in the foreground, as a container runs it: `python -m serving.foreground`, until a signal ends it.

It brings back what is on record as serving, and needs no registry for that. Commands and steps that share its GLOCAL_HOME,
processes and network find it as they find one that `glocal serve start` has started. What ends by itself is started again.
"""

import logging
import signal
import sys
import threading

import httpx

from model.claim import claim
from model.environment import Environment
from model.errors import GlocalError, NotFound
from model.home import Home
from serving import server
from serving.rollout.challenge import restore_challengers
from serving.rollout.deployed import Deployed
from serving.rollout.endpoint import connect, deploying
from serving.rollout.restoring import restore

_LOOK_S = 5.0
"""Seconds between two looks at what runs."""
_log = logging.getLogger("glocal.endpoint")


def serve(home: Home, ended: threading.Event) -> None:
    """Keep the endpoint up until `ended` is set, then end it.

    Raises:
        GlocalError: It does not come up at first.
    """
    claim(home)
    try:
        _bring_up(home)
        while not ended.wait(_LOOK_S):
            if server.answering(home) is None:
                _log.warning("The endpoint does not answer; it is started again.")
                try:
                    _bring_up(home)
                except GlocalError as error:  # what runs of it serves on until the next look
                    _log.warning("%s", error)
    finally:
        server.stop(home)


def _bring_up(home: Home) -> None:
    """Start what does not run, and bring back what is on record. One version that cannot come back does not stop the others."""
    with deploying(home.serve), connect(home.serve, server.ensure(home)) as endpoint:
        differences = [*restore(endpoint, _no_registry), *restore_challengers(endpoint)]
    for difference in differences:
        _log.warning("%s", difference)
    found = server.status(home)
    serving = ", ".join(f"{name} version {model.default}" for name, model in found.models.items())
    _log.info("%s answers at %s: %s", found.backend, found.address, serving or "no model yet")


def _no_registry(name: str, entry: Deployed) -> None:
    raise NotFound(f"Version {entry.version} of {name} is not at hand.", "glocal promote packs it again from the registry.")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger(httpx.__name__).setLevel(logging.WARNING)  # a line for each look
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        serve(Environment().home, ended)
    except GlocalError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()

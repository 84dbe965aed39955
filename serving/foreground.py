"""The endpoint of a home in the foreground, as a container runs it: `python -m serving.foreground`, until a signal ends it whole.

It brings back what is on record as serving, and needs no registry for that. Commands and steps that share its GLOCAL_HOME,
processes and network find it as they find one that `glocal serve start` has started. What ends by itself is started again.
"""

import contextlib
import logging
import sys
import time
from typing import NoReturn

import httpx

from model.claim import claim
from model.environment import Environment
from model.errors import GlocalError, NotFound
from model.home import Home
from model.signals import ended_by_signals
from serving import server
from serving.rollout.challenge import restore_challengers
from serving.rollout.deployed import Deployed
from serving.rollout.endpoint import connect, deploying
from serving.rollout.restoring import restore

_LOOK_S = 5.0
"""Seconds between two looks at what runs."""
_log = logging.getLogger("glocal.endpoint")


def serve(home: Home) -> NoReturn:
    """Keep the endpoint up until an exception comes, such as that of a signal, then end it.

    Raises:
        GlocalError: It does not come up at first.
    """
    claim(home)
    try:
        _bring_up(home)
        while True:
            time.sleep(_LOOK_S)
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
    """Serve until a signal ends it, with exit code 0; the exit code of an error is its own."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger(httpx.__name__).setLevel(logging.WARNING)  # a line for each look
    try:
        with contextlib.suppress(KeyboardInterrupt), ended_by_signals(exit_code=0):
            serve(Environment().home)
    except GlocalError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

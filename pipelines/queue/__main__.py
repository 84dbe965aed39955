"""The worker's process: `python -m pipelines.queue GLOCAL_HOME`. It is started by `pipelines.queue.worker.ensure_worker`."""

import logging
import sys

from model.environment import Environment
from model.home import Home
from model.locks import hold
from pipelines.queue.execution import Executor

_BEFORE_S = 10.0
"""Seconds for the locks of a worker that was killed to become free."""


def main() -> None:
    """Execute the queue until a signal ends this process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("huey").setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    environment = Environment(home=Home.at(sys.argv[1]))
    with hold(environment.home.queue.worker_lock, wait_s=_BEFORE_S, busy="Another worker executes this queue."):
        Executor(environment).run()


if __name__ == "__main__":
    main()

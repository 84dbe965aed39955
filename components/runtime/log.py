"""The log of a step: on standard error, and as a file in the run's folder."""

import logging
import sys

from model.environment import Environment
from model.redaction import RedactingFormatter


def log_to(environment: Environment, name: str) -> None:
    """Send this process's log to standard error and, within a run, to `<step>.log` in its folder."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if environment.run_folder:
        environment.run_folder.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(environment.run_folder / f"{name}.log"))
    for handler in handlers:
        handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=environment.log_level, handlers=handlers, force=True)

"""Work for a runner."""

from pathlib import Path
from typing import Any

from model.environment import Environment
from model.home import Home
from pipelines.runners.port import Work


def make_work(pipeline: Path, arguments: dict[str, Any], folder: Path, home: Home, **changes: Any) -> Work:
    """A run of a compiled pipeline, with no record in MLflow."""
    given: dict[str, Any] = {
        "name": "training",
        "title": "a run",
        "run_id": "",
        "variables": {"GLOCAL_HOME": str(home.root)},
        "environment": Environment(home=home),
    }
    return Work(pipeline=pipeline, arguments=arguments, folder=folder, **{**given, **changes})

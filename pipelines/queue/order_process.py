"""The process of one order: `python -m pipelines.queue.order_process ORDER_FOLDER RUN_FOLDER`, as `glocal run` would run it.

It ends with the worker that started it. `GLOCAL_USER` is who ordered the run.
"""

import sys
import traceback
from pathlib import Path

from model.environment import Environment
from model.errors import GlocalError
from model.schemas.run_record import Failure
from model.signals import ended_by_signals
from pipelines.queue.stored import StoredOrder
from pipelines.runners.group import end_with


def main() -> None:
    """Execute the order."""
    environment = Environment()
    end_with(environment.home.queue.worker_lock)  # before the slow imports
    stored, folder = StoredOrder(Path(sys.argv[1])), Path(sys.argv[2])
    try:
        with ended_by_signals():
            _run(stored, folder, environment)
    except Exception as error:
        traceback.print_exc()
        told = (
            error if isinstance(error, GlocalError) else GlocalError(f"{type(error).__name__}: {error}", f"See {stored.console}.")
        )
        stored.end_as_its_run(Failure(step="", headline=told.headline, hint=told.hint))
        sys.exit(1)


def _run(stored: StoredOrder, folder: Path, environment: Environment) -> None:
    from model.config import parse_config
    from pipelines.running import run_training

    order = stored.order
    environment = environment.run_by(order.runner)
    run_training(
        order.source,
        parse_config(order.settings),
        name=order.name,
        environment=environment,
        listener=lambda event: print(event.to_line().decode(), end="", flush=True),
        why=order.why,
        order=order.id,
        folder=folder,
    )


if __name__ == "__main__":
    main()

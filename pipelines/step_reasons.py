"""Why a step of a run ran again, or did not: the run beside the last one of the same data before it."""

from model.environment import Environment
from model.schemas.step_plan import StepReason


def step_reasons(environment: Environment, run_id: str) -> list[StepReason]:
    """The steps of a training that has ended, each with the reason why it ran or was taken from the cache.

    Raises:
        NotFound: There is no such run.
    """
    raise NotImplementedError

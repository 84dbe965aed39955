"""What a run would do, before it is started: which steps the cache will skip."""

from model.config import RunConfig
from model.environment import Environment
from model.schemas.step_plan import RunPlan


def preview(source: str, name: str, config: RunConfig, environment: Environment) -> RunPlan:
    """Which steps of a training will be taken from the cache, and which will run. Nothing is started or changed.

    Raises:
        InvalidInput: There is no such source.
    """
    raise NotImplementedError

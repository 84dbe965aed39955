"""KFP's decorator of pipelines, on a stack of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kfp import dsl


def pipeline(*, name: str, description: str) -> Callable[[Callable[..., None]], Any]:
    """Make a function a pipeline, as `dsl.pipeline` does.

    That calls the function at once, and for each requirement of a step KFP looks up the source of every frame of the stack. Those
    of Python's import are looked for among all modules, in vain; so the function is called in a thread, where there are none.
    """

    def traced(function: Callable[..., None]) -> Any:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(dsl.pipeline(name=name, description=description), function).result()

    return traced

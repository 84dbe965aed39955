"""Which steps of a pipeline its cache would skip: KFP's own local runner looks them up, and nothing is run.

    forecast  ->  python -m pipelines.runners.forecast

It is a process of its own, as that of `pipelines.runners.local` is, so its code is that of a run that is started now. Its keys
are those of a run, because the same code computes them: KFP's runner goes from step to step until one is not in the cache.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.runtime.revision import code_revision
from model.errors import GlocalError
from model.files import write_json
from model.home import Home
from model.scratch import scratch_folder

_TIMEOUT_S = 120.0


class _NotCachedError(Exception):
    """A step is not in the cache."""


def forecast(pipeline: str, arguments: Mapping[str, Any], results: Mapping[str, Any], home: Home) -> dict[str, float]:
    """The steps that would be taken from the cache, and when each was made, in seconds since 1970. Nothing is run or changed.

    Args:
        pipeline: Name of the pipeline; see `pipelines.compiled.PIPELINES`.
        arguments: The pipeline's parameters.
        results: The outputs by name, of every step that is never cached and that a cached one depends on.
        home: GLOCAL_HOME.

    Raises:
        GlocalError: It cannot be told.
    """
    order = {"pipeline": pipeline, "arguments": arguments, "results": results, "home": str(home.root)}
    command = [sys.executable, "-m", "pipelines.runners.forecast"]
    try:
        done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        return {step: float(made) for step, made in json.loads(done.stdout.splitlines()[-1]).items()}
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:]
        raise GlocalError("It cannot be told which steps would be skipped.", " ".join(reason)[:300]) from error
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError) as error:
        raise GlocalError("It cannot be told which steps would be skipped.", str(error)[:300]) from error


def main() -> None:
    """Print the forecast for the order on standard input, as the last line of standard output."""
    order = json.load(sys.stdin)
    entries = Home.at(order["home"]).step_cache / code_revision()
    found = _look_up(order, str(entries)) if entries.is_dir() else {}  # KFP would make the folder
    print(json.dumps(found))


def _look_up(order: dict[str, Any], entries: str) -> dict[str, float]:
    """Let KFP look up the steps of a pipeline until one is not in the cache."""
    from kfp import components, local
    from kfp.local import cache
    from kfp.local.orchestrator import task_executor

    from pipelines.compiled import compile_pipeline
    from pipelines.runners.step_cache import ReadOnlyStepCache

    with scratch_folder("forecast") as folder:

        def known_result(*, component_name: str, component_spec: Any, **_: Any) -> tuple[dict[str, Any], Any]:
            """In place of the execution of a step that is not taken from the cache."""
            step = component_name.removeprefix("comp-")
            if step not in order["results"]:
                raise _NotCachedError
            return _as_read(order["results"][step], component_spec, folder), local.status.Status.SUCCESS

        cache.LocalCache = ReadOnlyStepCache
        task_executor.task_dispatcher.run_single_task_implementation = known_result
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(folder / "artifacts"),
            enable_caching=True,
            cache_root=entries,
        )
        pipeline = components.load_component_from_file(str(compile_pipeline(folder / "pipeline.yaml", order["pipeline"])))
        with contextlib.suppress(_NotCachedError, RuntimeError):  # of a step in a loop KFP makes an error of its own
            pipeline(**order["arguments"])
    return ReadOnlyStepCache.found


def _as_read(outputs: dict[str, Any], component_spec: Any, folder: Path) -> dict[str, Any]:
    """The outputs of a step as KFP reads them from the step's file: every number in a mapping is a float."""
    from kfp.local import executor_output_utils as kfp_outputs
    from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorInput

    file = folder / "outputs.json"
    write_json(file, {"parameterValues": outputs})
    written = kfp_outputs.load_executor_output(str(file))
    read: dict[str, Any] = kfp_outputs.get_outputs_from_executor_output(written, ExecutorInput(), component_spec)
    return read


if __name__ == "__main__":
    main()

"""The process of one job: `python -m dashboard.jobs JOB_FOLDER`."""

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path

from dashboard.jobs.job import Failed, Job
from dashboard.jobs.kinds import KINDS
from model.claim import claim
from model.data.importing.findings import Rejected
from model.environment import Environment
from model.errors import GlocalError
from pipelines.signals import ended_by_signals

_EVERY_S = 0.3
_NICE = 5
"""Jobs leave the processor to whoever waits for an answer."""
_SHOWN = 200
"""Findings that are kept with the error; the report has all."""


def main() -> None:
    """Do the job."""
    job = Job(Path(sys.argv[1]))
    told = 0.0

    def progress(done: int, total: int, what: str) -> None:
        nonlocal told
        if done == total or time.monotonic() - told > _EVERY_S:
            told = time.monotonic()
            job.write("progress", {"done": done, "total": total, "what": what})

    with contextlib.suppress(OSError):
        os.nice(_NICE)
    try:
        asked, environment = job.asked, Environment()
        claim(environment.home)
        with ended_by_signals():
            job.write("result", KINDS[asked.kind](environment, asked.arguments, progress))
    except Exception as error:
        traceback.print_exc()
        job.write("error", _failed(error).model_dump(mode="json"))
        sys.exit(1)


def _failed(error: Exception) -> Failed:
    if isinstance(error, Rejected):
        findings, hint = error.findings.defects[:_SHOWN], "Mend what is named below, and import again."
        named = tuple(finding.to_json() for finding in findings)
        return Failed(headline=error.headline, hint=hint, findings=named, report=error.report.stem)
    if isinstance(error, GlocalError):
        return Failed(headline=error.headline, hint=error.hint)
    hint = "This is a fault of Glocal's; console.log in the job's folder has the trace."
    return Failed(headline=f"{type(error).__name__}: {error}"[:500], hint=hint)


if __name__ == "__main__":
    main()

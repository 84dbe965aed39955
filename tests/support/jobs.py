"""Jobs of tests: awaited, or with a process that does nothing."""

import sys
from contextlib import contextmanager

from pipelines.jobs import job as jobs
from serving.processes import wait_until


def await_job(home, begun, deadline_s=90):
    """The job once it has ended."""
    wait_until(lambda: not jobs.find_job(home, begun.id).runs, deadline_s=deadline_s)
    return jobs.find_job(home, begun.id)


@contextmanager
def idle_jobs(monkeypatch):
    """Jobs whose processes sleep until the end of the block; yields the processes that were started."""
    started = []
    start_detached = jobs.start_detached

    def start(command, **settings):
        started.append(start_detached([sys.executable, "-SEc", "import time; time.sleep(600)", command[-1]], **settings))
        return started[-1]

    monkeypatch.setattr(jobs, "start_detached", start)
    try:
        yield started
    finally:
        for process in started:
            kill(process)


def kill(process):
    """Kill the process of a job."""
    process.kill()
    process.wait()

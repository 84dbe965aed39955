"""Actions on jobs: what takes longer than a request may, under way or ended."""

from pipelines.actions.action import Caller, action
from pipelines.jobs.status import Jobs, JobStatus

_LONGEST_WAIT_S = 60.0
_PAUSE_S = 0.2


@action("GET", "/jobs")
def list_jobs(caller: Caller, limit: int = 50) -> Jobs:
    """The latest jobs, newest first, without their results, and which of these cannot be read."""
    from pipelines.jobs.job import KEPT, read_jobs
    from pipelines.jobs.kinds import KINDS

    found, unreadable = read_jobs(caller.environment.home, *KINDS.values(), most=max(1, min(limit, KEPT)))
    return Jobs(jobs=tuple(each.status for each in found), unreadable=tuple(unreadable))


@action("GET", "/jobs/{job_id}")
def show_job(caller: Caller, job_id: str, wait_s: float = 0.0) -> JobStatus:
    """A job, with its result once it has ended; `wait_s`: seconds to wait for its end, at most 60."""
    from pipelines.jobs.job import find_job
    from serving.processes import wait_until

    home = caller.environment.home
    find_job(home, job_id)
    if wait_s > 0:
        wait_until(lambda: not find_job(home, job_id).runs, deadline_s=min(wait_s, _LONGEST_WAIT_S), pause_s=_PAUSE_S)
    return find_job(home, job_id).whole_status


@action("DELETE", "/jobs/{job_id}", "operator")
def end_job(caller: Caller, job_id: str) -> JobStatus:
    """End a job before it is done, where that leaves nothing half done."""
    from pipelines.jobs.job import find_job

    find_job(caller.environment.home, job_id).end()
    return find_job(caller.environment.home, job_id).whole_status

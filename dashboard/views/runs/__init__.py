"""Runs: the list, the form that starts one, one run while it is under way and after, several side by side, recurring runs."""

from fastapi import APIRouter

from dashboard.views.runs import comparing, files, listing, one, ordering, schedules, starting

router = APIRouter(include_in_schema=False)
for part in (
    listing,
    starting,
    ordering,
    comparing,
    schedules,
    one,
    files,
):  # those with a name of their own before /runs/{run_id}
    router.include_router(part.router)

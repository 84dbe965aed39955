"""Models: versions, where they come from, what a change would change, and the changes: promote, approve, refuse, roll back, try.

/models                            all models: what serves, what is tried, what waits for approval
/models/NAME, /models/NAME/V       versions of a model; one version
/models/NAME/diff                  two versions side by side
/models/NAME/V/promote, ...        the form of a change, with what it changes; how a change goes
/models/NAME/trial                 a shadow or canary, watched
/models/lineage                    which versions saw an image or a data set
"""

from fastapi import APIRouter

from dashboard.views.models import changing, comparing, lineage, listing, report, trial, version

router = APIRouter(include_in_schema=False)
for part in (
    lineage,
    comparing,
    report,
    trial,
    changing,
    listing,
    version,
):  # the addresses of the last ones fit those before as well
    router.include_router(part.router)

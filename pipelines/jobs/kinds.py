"""All kinds of jobs, by their names."""

from typing import Any

from pipelines.jobs.data import compare_data, import_data, look_for_look_alikes
from pipelines.jobs.enrolment import enrol, revise
from pipelines.jobs.kind import Kind
from pipelines.jobs.serving import approve, challenge, promote, roll_back, stop_challenge

KINDS: dict[str, Kind[Any, Any]] = {
    each.name: each
    for each in (
        promote,
        roll_back,
        approve,
        challenge,
        stop_challenge,
        enrol,
        revise,
        import_data,
        compare_data,
        look_for_look_alikes,
    )
}

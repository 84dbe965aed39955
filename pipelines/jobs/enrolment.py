"""Jobs on what people have sent: images of an object into a gallery, corrections into a data set."""

from model.data.importing.import_report import ImportReport
from model.schemas.run_result import RunResult
from model.text import counted
from pipelines.actions.corrections import accept_corrections, check_accepted
from pipelines.actions.galleries import check_enrolment, enrol_images
from pipelines.jobs.kind import Group, Outcome, kind

ENROLMENT = Group(
    "enrolment",
    at_once=1,
    waits=True,
    rule="One is at work at a time; the others wait.",
    meanwhile="This page may be closed.",
    failed="",
    killed="What it had not finished was not done; ask for it again.",
)


@kind("enrol", ENROLMENT, "enrolling {label} into {model}", enrol_images, check=check_enrolment)
def enrol(result: RunResult) -> Outcome:
    """The run that adds images to a gallery has ended."""
    if result.error:
        return Outcome(result.error.headline, "failed", result.error.hint, result.error.defects)
    if result.status == "killed":
        return Outcome("Its run was killed.", "failed", "Ask for it again: what it had finished is not done twice.")
    if result.status == "rejected":
        return Outcome("The gate refused it; nothing was changed.", "rejected", details=tuple(result.refused or ()))
    if result.status == "awaiting":
        return Outcome("It passed the gate, and serves once operators have approved it.", "awaiting")
    if not result.model_version:
        return Outcome("The gallery had all of these images already; nothing was changed.")
    said = f"{result.model} version {result.model_version} serves"
    if (change := result.gallery) is not None:
        said += f": {counted(sum(change.added.values()), 'new entry', 'new entries')} of {', '.join(change.added)}"
        said += f", and {counted(len(change.copies), 'copy', 'copies')} that the gallery had already" if change.copies else ""
    return Outcome(f"{said}.")


@kind("revise", ENROLMENT, "accepting corrections into {data}", accept_corrections, check=check_accepted)
def revise(report: ImportReport) -> Outcome:
    """Corrected images were imported as a version of their data set."""
    pin = report.pin
    said = f"{pin.path} has a new version, {pin.rev[:12]}, of {counted(pin.images, 'image')}."
    return Outcome(said, details=tuple(report.messages))

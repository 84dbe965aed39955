"""Jobs on what people have sent: images of an object into a gallery, corrections into a data set."""

from model.text import counted
from pipelines.jobs.kind import Group, Outcome, Work, kind

ENROLMENT = Group(
    "enrolment",
    at_once=1,
    waits=True,
    rule="One is at work at a time; the others wait.",
    meanwhile="This page may be closed.",
    failed="",
    killed="What it had not finished was not done; ask for it again.",
)


@kind("enrol", ENROLMENT, "enrolling {label} into {model}")
def enrol(work: Work, *, model: str, label: str, data: str) -> Outcome:
    """Add the images that the job was given to the gallery of a served model, as `glocal gallery add` does.

    Args:
        work: Who asks, and why, and the images with their manifest.
        model: Name of the model.
        label: Label of the images.
        data: Name of the data set that they become.
    """
    from model.config import load_config
    from pipelines.galleries import run_enrolment
    from serving.galleries import choose_base

    result = run_enrolment(
        str(work.files),
        choose_base(work.environment.mlflow_uri, model),
        load_config(None, ()),
        replace=False,
        name=data,
        environment=work.environment,
        listener=work.tell,
        why=work.why,
    )
    made = {"model": result.model or model, "run": result.run_id}
    if result.error:
        return Outcome(result.error.headline, "failed", result.error.hint, result.error.defects, made)
    if result.status == "killed":
        return Outcome("Its run was killed.", "failed", "Ask for it again: what it had finished is not done twice.", result=made)
    if result.status == "rejected":
        return Outcome("The gate refused it; nothing was changed.", "rejected", details=tuple(result.refused or ()), result=made)
    if result.status == "awaiting":
        return Outcome("It passed the gate, and serves once operators have approved it.", "awaiting", result=made)
    if not result.model_version:
        return Outcome("The gallery had all of these images already; nothing was changed.", result=made)
    change = result.gallery
    said = f"{made['model']} version {result.model_version} serves"
    if change is not None:
        said += f": {counted(sum(change.added.values()), 'new entry', 'new entries')} of {label}"
        said += f", and {counted(len(change.copies), 'copy', 'copies')} that the gallery had already" if change.copies else ""
    return Outcome(f"{said}.", result={**made, "version": result.model_version})


@kind("revise", ENROLMENT, "accepting corrections into {data}")
def revise(work: Work, *, data: str, corrections: list[str]) -> Outcome:
    """Import the newest version of a data set with corrected images as its next version.

    Args:
        work: Who asks.
        data: Name of the data set.
        corrections: Ids of its corrections.
    """
    from serving.corrections import accept_corrections

    home, remote = work.environment.home, work.environment.data_remote or None
    report = accept_corrections(home, corrections, remote=remote, progress=work.progress_of("revision"))
    pin = report.pin
    said = f"{pin.path} has a new version, {pin.rev[:12]}, of {counted(pin.images, 'image')}."
    return Outcome(said, details=tuple(report.messages), result={"data": pin.path, "rev": pin.rev})

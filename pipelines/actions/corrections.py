"""Actions on corrections: images whose answers were wrong, with their right labels."""

from hashlib import sha256

from model.data.importing.import_report import ImportReport
from model.errors import InvalidInput, NotFound
from model.schemas.correction import Asked, Correction
from model.schemas.sent_file import Files
from pipelines.actions.action import Caller, action


@action("GET", "/corrections")
def list_corrections(caller: Caller) -> list[Correction]:
    """All corrections, newest first."""
    from serving.corrections import corrections

    return corrections(caller.environment.home)


@action("POST", "/corrections")
def correct(
    caller: Caller,
    model: str,
    images: Files,
    labels: list[str],
    operation: str = "search",
    said: list[str] | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> list[Correction]:
    """Keep images whose answers were wrong with their right labels, one for each image; `said` is what the answer said.

    The two images of a verification have one label if they show the same, else two. `box` is where the labelled object is in the
    only image: xmin, ymin, xmax, ymax in pixels.
    """
    from serving.corrections import Corrected, keep_corrections
    from serving.rollout.deployed import read_deployed

    home = caller.environment.home
    serving = read_deployed(home.serve.deployed).get(model)
    if serving is None:
        raise NotFound(f"No model {model[:100]} is served.", "glocal serve status names those that are.")
    if not images or len(images) != len(labels) or (box and len(images) > 1):
        raise InvalidInput("One label is needed for each image, and a box is in one image.", "Send as many labels as images.")
    told = {"operation": operation, "model": model, "model_version": serving.version, "release": serving.release}
    corrected = [
        Corrected(image.data, label, image.name, Asked.given(**told, said=said or (), sha256=sha256(image.data).hexdigest()), box)
        for image, label in zip(images, labels, strict=True)
    ]
    return keep_corrections(home, corrected, by=caller.name)


@action("DELETE", "/corrections/{correction}", "operator")
def drop_correction(caller: Caller, correction: str) -> Correction:
    """Remove a correction and its image."""
    from serving.corrections import drop_correction as drop

    return drop(caller.environment.home, correction)


@action("POST", "/data/{data}/corrections", "operator")
def accept_corrections(caller: Caller, data: str, corrections: list[str]) -> ImportReport:
    """Import the newest version of a data set with corrected images under their right labels as its next version."""
    from serving.corrections import accept_corrections as accept

    check_accepted(caller, data, corrections)
    remote = caller.environment.data_remote or None
    return accept(caller.environment.home, corrections, remote=remote, progress=caller.progress_of("revision"))


def check_accepted(caller: Caller, data: str, corrections: list[str]) -> None:
    """Raise what is wrong with some corrections that are to be accepted into a data set."""
    from serving.corrections import data_of, find_correction

    named = data_of([find_correction(caller.environment.home, each) for each in corrections])
    if named != data:
        raise InvalidInput(f"These corrections are of {named}, not of {data[:100]}.", f"Accept them into {named}.")

"""Actions on the objects that a served model knows."""

from model.errors import Unavailable
from model.schemas.run_result import RunResult
from model.schemas.sent_file import Files
from pipelines.actions.action import Caller, action


@action("POST", "/models/{model}/gallery", "operator")
def enrol_images(caller: Caller, model: str, label: str, images: Files, why: str = "new images") -> RunResult:
    """Add images of an object to the gallery of a model. They become a data set; the new version serves if it passes the gate."""
    from pipelines.galleries import enrol_images as enrol

    return enrol(
        [(each.name, each.data) for each in images],
        label,
        model,
        environment=caller.environment,
        listener=caller.tell,
        why=why,
    )


def check_enrolment(caller: Caller, model: str, label: str, images: Files, why: str = "") -> None:
    """Raise what is wrong with images that are to be enrolled."""
    from pipelines.enrolled_images import check_enrolled
    from serving.rollout.deployed import read_deployed

    if model not in read_deployed(caller.environment.home.serve.deployed):
        raise Unavailable(f"No model {model[:100]} is served.", "glocal serve status names those that are.")
    check_enrolled([(each.name, each.data) for each in images], label)

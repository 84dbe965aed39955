"""Jobs on data: imports, comparisons, and the look for look-alikes."""

from model.errors import Conflict
from model.text import counted
from pipelines.jobs.kind import Group, Outcome, Work, kind

DATA = Group(
    "data",
    at_once=2,
    waits=False,
    rule="Two jobs on data are done at once: ask again when one of them has ended.",
    meanwhile="This page may be closed.",
    failed="",
    killed="Nothing was changed. Ask for it again.",
    may_be_ended=True,
    nice=5,
)


@kind("import", DATA, "importing {source}")
def import_data(work: Work, *, source: str, name: str = "", settings: list[str]) -> Outcome:
    """Import a data set as `glocal data import` does.

    Args:
        work: Who asks.
        source: A folder, a CSV or an address of an object store.
        name: Name of the data set; empty: that of the source.
        settings: Settings such as `data.split=manifest`.
    """
    from model.config import load_config
    from model.data.importing.pinning import pin_dataset

    report = pin_dataset(
        source,
        name or None,
        work.environment.home.data,
        load_config(None, settings).data,
        remote=work.environment.data_remote or None,
        shared=work.environment.data_git,
        progress=work.progress_of("import"),
    )
    pin = report.pin
    said = f"{pin.named} holds {counted(pin.images, 'image')} of {counted(pin.classes, 'class', 'classes')}."
    return Outcome(said, details=tuple(report.messages), result=report.to_json())


@kind("diff", DATA, "comparing {before} with {after}")
def compare_data(work: Work, *, before: str, after: str) -> Outcome:
    """Compare two versions of data, each as name@revision, as `glocal data diff` does."""
    from model.data.versions.diff import diff_data
    from model.data.versions.pin import resolve

    home = work.environment.home
    one, other = (resolve(home.data, each) for each in (before, after))
    found = diff_data(home, one, other, work.progress_of("compare"))
    return Outcome("Both versions were compared.", result=found.model_dump(mode="json"))


@kind("look-alikes", DATA, "looking for look-alikes in version {version} of {model}")
def look_for_look_alikes(work: Work, *, model: str, version: str, release: str, data: str) -> Outcome:
    """Look for suspicious labels and near duplicates in the gallery of a version.

    Args:
        work: Who asks.
        model: Name of the model.
        version: The version.
        release: Id of its release.
        data: The version of data that is asked about, as name@revision.
    """
    from model.evaluation.look_alikes import find_look_alikes
    from serving.deployment import fetched_release
    from serving.registry.models import Registry

    progress = work.progress_of("look")
    progress(0, 0, "fetch the release")
    with fetched_release(Registry(work.environment.mlflow_uri, model), version) as fetched:
        if fetched.id != release:
            raise Conflict(f"{model} version {version} is another release than {release}.", "Load the page again.")
        found = find_look_alikes(fetched.gallery, progress=progress)
    return Outcome(f"{counted(found.looked_at, 'image')} were looked at.", result=found.model_dump(mode="json"))

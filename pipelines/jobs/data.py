"""Jobs on data: imports, comparisons, and the look for look-alikes."""

from model.data.importing.import_report import ImportReport
from model.schemas.data_diff import DataDiff
from model.schemas.look_alikes import LookAlikes
from model.text import counted
from pipelines.actions.data import check_import, check_look, check_versions, diff_data, find_look_alikes
from pipelines.actions.data import import_data as import_
from pipelines.jobs.kind import Group, Outcome, kind

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


@kind("import", DATA, "importing {source}", import_, check=check_import)
def import_data(report: ImportReport) -> Outcome:
    """A data set was imported."""
    pin = report.pin
    said = f"{pin.named} holds {counted(pin.images, 'image')} of {counted(pin.classes, 'class', 'classes')}."
    return Outcome(said, details=tuple(report.messages))


@kind("diff", DATA, "comparing {before} with {after}", diff_data, check=check_versions, once=True)
def compare_data(_: DataDiff) -> Outcome:
    """Two versions of data were compared. Versions never change, so two are compared once."""
    return Outcome("Both versions were compared.")


@kind(
    "look-alikes", DATA, "looking for look-alikes in version {version} of {model}", find_look_alikes, check=check_look, once=True
)
def look_for_look_alikes(found: LookAlikes) -> Outcome:
    """Suspicious labels and near duplicates were looked for, which is done once for a release."""
    return Outcome(f"{counted(found.looked_at, 'image')} were looked at.")

"""Actions on data sets: revisions, what imports found, differences of two revisions, and look-alikes."""

from pathlib import Path

from pydantic import AwareDatetime

from model.data.importing.findings import Finding
from model.data.importing.import_report import ImportReport
from model.errors import Conflict, GlocalError, InvalidInput, NotFound
from model.home import DataStore
from model.schemas.data_diff import DataDiff
from model.schemas.data_pin import DataPin
from model.schemas.look_alikes import LookAlikes
from pipelines.actions.action import Caller, action


@action("GET", "/data")
def list_datasets(caller: Caller) -> list[DataPin]:
    """The newest version of every data set."""
    from model.data.versions.pin import datasets

    return datasets(_store(caller))


@action("GET", "/data/{name}")
def list_versions(caller: Caller, name: str) -> list[tuple[AwareDatetime, DataPin]]:
    """All versions of a data set with the times of their imports, newest first."""
    from model.data.versions.pin import versions

    return versions(_store(caller), name)


@action("GET", "/data/{reference}/findings")
def list_findings(caller: Caller, reference: str, last: bool = False) -> list[Finding]:
    """What the import of a version, `name` or `name@revision`, found; with `last` the last import of the name.

    That may have been refused: its defects come first.
    """
    from model.data.importing.last_import import last_import
    from model.data.versions.pin import check_name, import_record, resolve

    store = _store(caller)
    if not last:
        return [Finding(**each) for each in import_record(store, resolve(store, reference)).get("warnings", ())]
    name = reference.partition("@")[0]
    check_name(name)
    found = last_import(store, name)
    return [*found.defects, *found.warnings] if found else []


@action("POST", "/data", "operator")
def import_data(caller: Caller, source: str, name: str = "", settings: list[str] | None = None, csv: str = "") -> ImportReport:
    """Import a folder, a CSV or an `s3://` prefix as a new version of a data set; settings such as `data.split=manifest`."""
    from model.config import load_config
    from model.data.importing.pinning import pin_dataset

    return pin_dataset(
        source,
        name or None,
        caller.environment.home.data,
        load_config(None, settings or ()).data,
        csv=Path(csv) if csv else None,
        remote=caller.environment.data_remote or None,
        shared=caller.environment.data_git,
        progress=caller.progress_of("import"),
    )


def import_mistakes(source: str, name: str, settings: list[str]) -> dict[str, GlocalError]:
    """What is wrong with an import that another machine or a page asks for, by argument.

    Its source is an absolute path of this machine, or an `s3://` address.
    """
    from model.config import load_config
    from model.data.importing.dataset_name import default_name
    from model.data.importing.object_store import SCHEMES, split_address
    from model.data.versions.pin import check_name

    found: dict[str, GlocalError] = {}
    try:
        if source.startswith(SCHEMES):
            split_address(source)
        elif not Path(source).is_absolute():
            raise InvalidInput(
                "Give a folder or a CSV of the machine on which the dashboard runs, from / on, or s3://bucket/prefix."
            )
        elif not Path(source).exists():
            raise NotFound(f"There is no {source[:200]} on the machine on which the dashboard runs.")
    except (OSError, ValueError) as error:
        found["source"] = InvalidInput(str(error))
    except GlocalError as error:
        found["source"] = error
    try:
        if name or not found:
            check_name(name or default_name(source))
    except GlocalError as error:
        found["name" if name else "source"] = error
    try:
        if other := [each for each in settings if not each.startswith("data.")]:
            raise InvalidInput(f"{other[0][:100]!r} is no setting of an import.", "Give one a line, such as data.split=manifest.")
        load_config(None, settings)
    except GlocalError as error:
        found["settings"] = error
    return found


def check_import(caller: Caller, source: str, name: str = "", settings: list[str] | None = None, csv: str = "") -> None:
    """Raise the first of `import_mistakes`."""
    for error in import_mistakes(source, name, settings or []).values():
        raise error
    if csv and not Path(csv).is_absolute():
        raise InvalidInput("Give a CSV of the machine on which the dashboard runs, from / on.")


@action("POST", "/data/{before}/diff")
def diff_data(caller: Caller, before: str, after: str) -> DataDiff:
    """Compare two versions of data, each `name` or `name@revision`: images added, removed, relabelled; new near copies."""
    from model.data.versions.diff import diff_data as diff
    from model.data.versions.pin import resolve

    home = caller.environment.home
    one, other = (resolve(home.data, each) for each in (before, after))
    return diff(home, one, other, caller.progress_of("compare"))


def check_versions(caller: Caller, before: str, after: str) -> None:
    """Raise what is wrong with the names of two versions."""
    from model.data.versions.pin import resolve

    for each in (before, after):
        resolve(_store(caller), each)


@action("POST", "/data/{data}/look-alikes")
def find_look_alikes(caller: Caller, data: str, model: str, version: str, release: str = "") -> LookAlikes:
    """Look for suspicious labels and near duplicates in a version of data, by the gallery of a model's version that holds it.

    `release` is the id of its release as the caller knows it.
    """
    from model.evaluation.look_alikes import find_look_alikes as find
    from serving.deployment import fetched_release
    from serving.registry.models import Registry

    progress = caller.progress_of("look")
    progress(0, 0, "fetch the release")
    with fetched_release(Registry(caller.environment.mlflow_uri, model), version) as fetched:
        if release and fetched.id != release:
            raise Conflict(f"{model} version {version} is another release than {release}.", "Load the page again.")
        return find(fetched.gallery, progress=progress)


def check_look(caller: Caller, data: str, model: str, version: str, release: str = "") -> None:
    """Raise what is wrong with the names of a version of data and of a model's version whose gallery is to hold it."""
    from model.data.versions.pin import resolve
    from serving.data_galleries import galleries_over
    from serving.registry.models import every_version

    uri, pin = caller.environment.mlflow_uri, resolve(_store(caller), data)
    if all((each.model, each.version) != (model, version) for each in galleries_over(uri, pin, every_version(uri))):
        raise NotFound(
            f"{model[:100]} version {version[:100]} is none whose gallery holds {pin.named}.", "See glocal lineage --data."
        )


def _store(caller: Caller) -> DataStore:
    """The store of the home, which must be ours."""
    from model.claim import check_folders

    home = caller.environment.home
    check_folders(home, home.data.root)
    return home.data

"""What the jobs do: for each kind a function of the environment and its arguments. They run in a process of their own."""

from collections.abc import Callable, Mapping
from typing import Any

from dashboard.jobs.job import Kind
from model.environment import Environment
from model.progress import Progress

Arguments = Mapping[str, str]
Work = Callable[[Environment, Arguments, Progress], dict[str, Any]]


def import_data(environment: Environment, arguments: Arguments, progress: Progress) -> dict[str, Any]:
    """Import a data set as `glocal data import` does: `source`, `name`, and `settings`, one of `data.x=y` in a line."""
    from model.config import load_config
    from model.data.importing.pinning import pin_dataset

    report = pin_dataset(
        arguments["source"],
        arguments["name"] or None,
        environment.home.data,
        load_config(None, arguments["settings"].split()).data,
        remote=environment.data_remote or None,
        progress=progress,
    )
    return {**report.to_json(), "messages": report.messages}


def compare_data(environment: Environment, arguments: Arguments, progress: Progress) -> dict[str, Any]:
    """Compare two versions as `glocal data diff` does: `before` and `after`, each as name@revision."""
    from model.data.versions.diff import diff_data
    from model.data.versions.pin import resolve

    store = environment.home.data
    one, other = (resolve(store, arguments[each]) for each in ("before", "after"))
    return diff_data(environment.home, one, other, progress).model_dump(mode="json")


def look_for_look_alikes(environment: Environment, arguments: Arguments, progress: Progress) -> dict[str, Any]:
    """Look for suspicious labels and near duplicates in the gallery of a version: `model` and `version`."""
    from model.evaluation.look_alikes import find_look_alikes
    from serving.deployment import fetched_release
    from serving.registry.models import Registry

    progress(0, 0, "fetch the release")
    with fetched_release(Registry(environment.mlflow_uri, arguments["model"]), arguments["version"]) as release:
        return find_look_alikes(release.gallery, progress=progress).model_dump(mode="json")


KINDS: dict[Kind, Work] = {"import": import_data, "diff": compare_data, "look-alikes": look_for_look_alikes}

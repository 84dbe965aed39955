"""Actions on data sets."""

from pydantic import AwareDatetime

from model.schemas.data_pin import DataPin
from pipelines.actions.action import Caller, action


@action("GET", "/data")
def list_datasets(caller: Caller) -> list[DataPin]:
    """The newest version of every data set."""
    from model.claim import check_folders
    from model.data.versions.pin import datasets

    home = caller.environment.home
    check_folders(home, home.data.root)
    return datasets(home.data)


@action("GET", "/data/{name}")
def list_versions(caller: Caller, name: str) -> list[tuple[AwareDatetime, DataPin]]:
    """All versions of a data set with the times of their imports, newest first."""
    from model.claim import check_folders
    from model.data.versions.pin import versions

    home = caller.environment.home
    check_folders(home, home.data.root)
    return versions(home.data, name)

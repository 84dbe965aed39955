"""Step 1: pin the data."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def version(source: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Import images as a new version of a data set, or resolve a version that is there.

    Reads:
        source: A folder, a CSV, an `s3://` prefix, or `name@revision` of what was imported before.
        name: Name of the data set; empty: after the source, as `default_name` says.
        data: The `data` section of the configuration.

    Returns:
        The DataPin that every later step works from.

    Fails when the data has defects (each is named), or the revision or its objects are gone.
    """
    from components.runtime.data import pin_data
    from components.runtime.step import step

    with step("version") as current:
        return pin_data(source, name, data, current)

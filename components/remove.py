"""Step of removal: labels and single entries out of the gallery of a registered version."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def remove(
    labels: list[str],
    ids: list[str],
    base: dict[str, Any],
    release: dsl.Output[dsl.Model],
    change: dsl.Output[dsl.Artifact],
) -> None:
    """Make the release of the version's weights with fewer entries in the gallery.

    Reads:
        labels: Labels of which every entry is removed.
        ids: Ids of further entries.
        base: The model, and the version whose gallery is changed.

    Writes:
        release: The release folder.
        change: What was removed.

    Fails when there is no such label or entry, or nothing would be left.
    """
    from pathlib import Path

    from components.runtime.reporting import show_change
    from components.runtime.revision import code_revision
    from components.runtime.step import step
    from model.schemas.gallery import GalleryBase
    from serving.enrolment import remove as remove_entries

    with step("remove") as current:
        made = remove_entries(
            labels,
            ids,
            GalleryBase(**base),
            Path(release.path),
            home=current.environment.home,
            tracking_uri=current.environment.mlflow_uri,
            code_revision=code_revision(),
        )
        show_change(current, Path(change.path), made, base["model"])

"""Step of enrolment: images into the gallery of a registered version."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def enrol(
    pin: dict[str, Any],
    base: dict[str, Any],
    replace: bool,
    release: dsl.Output[dsl.Model],
    change: dsl.Output[dsl.Artifact],
) -> bool:
    """Make the release of the version's weights with another gallery.

    Reads:
        pin: The images.
        base: The model, and the version whose gallery is changed.
        replace: Whether the gallery is made of these images alone.

    Writes:
        release: The release folder; nothing if every image is in the gallery already.
        change: What was added and removed.

    Returns:
        Whether there is a new release.

    Fails when there are no images, or the gallery holds one of them under another label.
    """
    from pathlib import Path

    from components.runtime.reporting import show_change
    from components.runtime.revision import code_revision
    from components.runtime.step import step
    from model.schemas.data_pin import DataPin
    from model.schemas.gallery import GalleryBase
    from serving.enrolment import enrol as enrol_images

    with step("enrol") as current:
        made = enrol_images(
            DataPin.from_json(pin),
            GalleryBase(**base),
            Path(release.path),
            replace=replace,
            home=current.environment.home,
            tracking_uri=current.environment.mlflow_uri,
            code_revision=code_revision(),
            progress=current.progress,
        )
        show_change(current, Path(change.path), made, base["model"])
        return made.release is not None

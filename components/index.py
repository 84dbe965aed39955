"""Step 3: make the release: gallery, thresholds, golden queries."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def index(
    pin: dict,  # type: ignore[type-arg]
    checkpoint: dsl.Input[dsl.Model],
    serve: dict,  # type: ignore[type-arg]
    release: dsl.Output[dsl.Model],
) -> None:
    """Embed every image of the data and seal the result as a release.

    Reads:
        pin: The data.
        checkpoint: What `train` wrote.
        serve: The `serve` section of the configuration; its `golden_queries` is the number of images that are kept with the
            answers that they must give.

    Writes:
        release: The release folder.

    Fails when an embedding is not finite.
    """
    from pathlib import Path

    from components.runtime.data import fetch_data
    from components.runtime.revision import code_revision
    from components.runtime.step import step
    from model.config import ServeConfig
    from model.index import build_release

    with step("index") as current:
        parsed, folder = fetch_data(pin, current)
        sealed = build_release(
            folder,
            Path(checkpoint.path),
            Path(release.path),
            pin=parsed,
            code_revision=code_revision(),
            work=current.work,
            golden_queries=ServeConfig(**serve).golden_queries,
            progress=current.progress,
        )
        current.tags |= {"release": sealed.id, "embedding_space_id": sealed.embedding_space_id}

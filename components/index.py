"""Step 3: make the release: gallery, thresholds, golden queries."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def index(
    pin: dict[str, Any],
    checkpoint: dsl.Input[dsl.Model],
    index: dict[str, Any],
    release: dsl.Output[dsl.Model],
    work: str = "",
) -> None:
    """Embed every image of the data and seal the result as a release.

    Reads:
        pin: The data.
        checkpoint: What `train` wrote.
        index: The `index` section of the configuration.
        work: Folder of reusable files in the home's `work`; empty: the one that all runs share.

    Writes:
        release: The release folder.

    Fails when an embedding is not finite.
    """
    from pathlib import Path

    from components.runtime.data import fetch_data
    from components.runtime.revision import code_revision
    from components.runtime.step import step
    from model.config import IndexConfig
    from model.index import build_release
    from model.schemas.gallery_record import IndexPlan

    with step("index") as current:
        settings = IndexConfig(**index)
        parsed, folder = fetch_data(pin, current)
        sealed = build_release(
            folder,
            Path(checkpoint.path),
            Path(release.path),
            pin=parsed,
            code_revision=code_revision(),
            work=current.work(work),
            golden_queries=settings.golden_queries,
            detection=settings.detection,
            index=IndexPlan(settings.gallery, settings.flat_up_to, settings.min_recall),
            shards=settings.shards,
            progress=current.progress,
        )
        current.tags |= {"release": sealed.id, "embedding_space_id": sealed.embedding_space_id}

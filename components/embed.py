"""Beside step 3: embed a shard of the gallery."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def embed(pin: dict[str, Any], checkpoint: dsl.Input[dsl.Model], index: dict[str, Any], shard: int) -> int:
    """Embed one of `index.shards` shards of the images. Returns the number of its images.

    Reads:
        pin: The data.
        checkpoint: What `train` wrote.
        index: The `index` section of the configuration.
        shard: Number of the shard, from 0.

    Writes:
        The shard, in the home's `work`, where `index` finds it.

    Fails when there is no such shard. Killed, it goes on after its last batch on record.
    """
    from pathlib import Path

    from components.runtime.data import fetch_data
    from components.runtime.revision import code_revision
    from components.runtime.step import step
    from model.config import IndexConfig
    from model.index import embed_shard

    with step(f"embed-{shard}") as current:
        parsed, folder = fetch_data(pin, current)
        images = embed_shard(
            folder,
            Path(checkpoint.path),
            pin=parsed,
            code_revision=code_revision(),
            work=current.work(),
            shard=shard,
            shards=IndexConfig(**index).shards,
            progress=current.progress,
        )
        current.figures |= {"images": images}
    return images

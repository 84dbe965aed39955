"""The embeddings and local features of a gallery's images, computed at once or in shards.

A shard is a run of whole batches, so each batch, and with it each bit of the result, is that of a computation at once. Shards
lie in the folder of reusable work files, under a hash of all that they depend on. So several processes compute some each,
whoever needs all computes those that are missing, and a killed one goes on after its last flushed batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.cache.feature_maps import FeatureMaps
from model.data.cache.stored_arrays import stored_arrays
from model.data.image_batches import BATCH
from model.data.images import DECODER
from model.data.manifest import Manifest
from model.errors import GlocalError
from model.files import atomic_file, sha256_json
from model.networks.heads import RetrievalNetwork
from model.progress import Progress
from model.retrieval.embedding import embed_manifest, embedded_batches, mapped_images, merged_embedding
from model.retrieval.local_features import features_of_images
from model.retrieval.reranker import fitted_rows, reduction_for
from model.retrieval.stored_reranker import StoredFeatures, joined, load_reranker, pack, save_reranker


@dataclass(frozen=True)
class GalleryImages:
    """The images of a gallery, or a shard of them, and the network that embeds them.

    Attributes:
        network: Network in evaluation mode.
        size: Side of its square input.
        images: The samples, in the order of the gallery.
        maps: The trunk's maps of these samples, if they are cached.
    """

    network: RetrievalNetwork
    size: int
    images: Manifest
    maps: FeatureMaps | None

    def part(self, rows: slice) -> "GalleryImages":
        """A run of the images."""
        images = self.images.select(np.arange(len(self.images))[rows])
        return GalleryImages(self.network, self.size, images, self.maps and self.maps.part(rows))

    def vectors(self, progress: Progress | None = None) -> NDArray[np.float32]:
        """The embeddings, (N, D) float32, L2-normalised."""
        embed = merged_embedding(self.network)
        return embed_manifest(self.network.trunk, embed, self.images, self.size, maps=self.maps, progress=progress)

    def kept_vectors(self, folder: Path, progress: Progress | None = None) -> NDArray[np.float32]:
        """`vectors`, read from a folder; those that it lacks are computed into it."""

        def batches(done: int) -> Iterator[tuple[NDArray[np.float32], ...]]:
            embed = merged_embedding(self.network)
            found = embedded_batches(self.network.trunk, embed, self.images, self.size, maps=self.maps, first=done)
            return ((batch,) for batch in found)

        def report(done: int) -> None:
            if progress:
                progress(done, len(self.images), "images embedded")

        vectors: NDArray[np.float32]
        (vectors,) = stored_arrays(folder, ("vectors",), len(self.images), batches, report)
        return vectors

    @cached_property
    def reduction(self) -> NDArray[np.float32] | None:
        """The reduction of local features, fitted to training images; None where their vectors are short enough."""
        fitted = fitted_rows(self.images.labels, self.images.rows("train", "val"))
        return reduction_for(
            self.network.heads, lambda: mapped_images(self.network.trunk, self.images, fitted, self.size, self.maps)
        )

    def features(self, reduction: NDArray[np.float32] | None) -> StoredFeatures:
        """The local features of every image, with the reduction of the whole gallery."""
        batches = mapped_images(self.network.trunk, self.images, np.arange(len(self.images)), self.size, self.maps)
        heads = self.network.heads
        found = (image for batch in batches for image in features_of_images(heads, *batch, self.size, reduction=reduction))
        return pack(found, self.size)

    def kept_features(self, file: Path, reduction: NDArray[np.float32] | None, space: str) -> StoredFeatures:
        """`features`, read from a file; where that is missing or damaged, or of another reduction, they are computed into it."""
        try:
            kept = load_reranker(file, space=space, images=len(self.images), size=self.size)
            if isinstance(kept.features, StoredFeatures) and _same(kept.reduction, reduction):
                return kept.features
        except GlocalError:
            pass  # it was never written, or is damaged
        features = self.features(reduction)
        with atomic_file(file) as partial:
            save_reranker(partial, features, reduction, 1.0, space)
        return features


@dataclass(frozen=True)
class Shards:
    """The shards of a gallery, in a folder of reusable work files.

    Attributes:
        gallery: All images.
        count: Number of shards. Those beyond the number of batches are empty.
        folder: Folder of the shards of this gallery, network and code alone.
        space: Id of the embedding space.
    """

    gallery: GalleryImages
    count: int
    folder: Path
    space: str

    @classmethod
    def at(cls, work: Path, gallery: GalleryImages, count: int, *, space: str, data_md5: str, code_revision: str) -> "Shards":
        """The shards in a folder of reusable work files."""
        key = sha256_json([data_md5, space, code_revision, DECODER, count])[:16]
        return cls(gallery, count, work / "embeddings" / key, space)

    def rows(self, shard: int) -> slice:
        """The rows of a shard: whole batches, as many as those of the others or one more."""
        images, batches = len(self.gallery.images), -(-len(self.gallery.images) // BATCH)
        first, last = (batches * each // self.count * BATCH for each in (shard, shard + 1))
        return slice(first, min(last, images))

    def vectors(self, shard: int, progress: Progress | None = None) -> NDArray[np.float32]:
        """The embeddings of a shard; computed unless they are there."""
        return self.gallery.part(self.rows(shard)).kept_vectors(self.folder / f"vectors-{shard}", progress)

    def features(self, shard: int) -> StoredFeatures:
        """The local features of a shard; computed unless they are there."""
        part, file = self.gallery.part(self.rows(shard)), self.folder / f"features-{shard}.safetensors"
        return part.kept_features(file, self.gallery.reduction, self.space)

    def all_vectors(self, progress: Progress | None = None) -> NDArray[np.float32]:
        """The embeddings of all images, in their order."""
        return np.concatenate([self.vectors(shard, progress) for shard in self._filled])

    def all_features(self) -> StoredFeatures:
        """The local features of all images, in their order."""
        return joined([self.features(shard) for shard in self._filled])

    @property
    def _filled(self) -> list[int]:
        rows = [self.rows(shard) for shard in range(self.count)]
        return [shard for shard, run in enumerate(rows) if run.start < run.stop]


def _same(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)

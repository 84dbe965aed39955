"""Embeddings of the samples of a manifest, and the maps that they are computed from, in batches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.cache.feature_maps import FeatureMaps
from model.data.image_batches import BATCH, decoded_batches, normalised_batches
from model.data.images import normalise
from model.data.manifest import Manifest
from model.networks.heads import RetrievalNetwork
from model.networks.trunk import Trunk
from model.progress import Progress

Embed = Callable[[Tensor, Tensor], Tensor]
"""A function from the shallow and the deep map of a batch to its embeddings (B, D), L2-normalised."""

MappedImages = tuple[Tensor, Tensor, Tensor]
"""A batch of images (B, 3, S, S) uint8 as the trunk sees them, with its shallow and its deep map."""


def merged_embedding(network: RetrievalNetwork) -> Embed:
    """The function that computes a network's merged embedding from the maps of its trunk."""
    return lambda shallow, deep: network.heads(shallow, deep).merged


def embed_manifest(
    trunk: Trunk,
    embed: Embed,
    manifest: Manifest,
    size: int,
    *,
    maps: FeatureMaps | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """The embedding of every sample, (N, D) float32, L2-normalised.

    Args:
        trunk: Trunk in evaluation mode.
        embed: Function from the trunk's two maps to embeddings.
        manifest: The samples, in the order of the result.
        size: Side of the trunk's square input.
        maps: The trunk's maps of these samples, if they are cached.
        progress: Called after every batch.
    """
    vectors = np.empty((0, 0), np.float32)
    batches = embedded_batches(trunk, embed, manifest, size, maps=maps)
    for start, part in zip(range(0, len(manifest), BATCH), batches, strict=True):
        if not start:
            vectors = np.empty((len(manifest), part.shape[1]), np.float32)
        vectors[start : start + len(part)] = part
        if progress:
            progress(min(start + BATCH, len(manifest)), len(manifest), "images embedded")
    return vectors


@torch.inference_mode()
def embedded_batches(
    trunk: Trunk, embed: Embed, manifest: Manifest, size: int, *, maps: FeatureMaps | None = None, first: int = 0
) -> Iterator[NDArray[np.float32]]:
    """The embeddings of the samples from row `first` on, in batches (B, D), for `embed_manifest`."""
    device = next(trunk.parameters()).device
    trunk, rows = trunk.folded(), np.arange(len(manifest))
    if maps is not None:
        batches = (maps[rows[start : start + BATCH]] for start in range(first, len(rows), BATCH))
    else:
        batches = (trunk(images.to(device)) for images in normalised_batches(manifest, rows[first:], trunk, size))
    for shallow, deep in batches:
        yield embed(shallow.to(device), deep.to(device)).cpu().numpy()


@torch.inference_mode()
def trunk_maps(trunk: Trunk, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, 3, S, S) uint8 -> shallow map (B, C1, H1, W1) and deep map (B, C2, H2, W2), on the trunk's device."""
    shallow, deep = trunk(normalise(images, trunk.mean, trunk.std).to(next(trunk.parameters()).device))
    return shallow, deep


def mapped_images(
    trunk: Trunk, manifest: Manifest, rows: NDArray[np.int64], size: int, maps: FeatureMaps | None = None
) -> Iterator[MappedImages]:
    """The images of `rows` in order, in batches, with the trunk's maps of them.

    Args:
        trunk: Trunk in evaluation mode.
        manifest: The samples.
        rows: Rows of the manifest.
        size: Side of the trunk's square input.
        maps: The trunk's maps of all rows of the manifest, if they are cached.
    """
    trunk, device = trunk if maps is not None else trunk.folded(), next(trunk.parameters()).device
    for number, images in enumerate(decoded_batches(manifest, rows, size)):
        if maps is None:
            yield (images, *trunk_maps(trunk, images))
        else:
            shallow, deep = maps[rows[number * BATCH : (number + 1) * BATCH]]
            yield images, shallow.to(device), deep.to(device)

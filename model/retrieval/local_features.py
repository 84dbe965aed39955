"""Local features: keypoints of an image with their descriptors, claim 1's vectors for regions.

The local head computes one vector for every position of its map. The positions with the highest scores become keypoints,
whose descriptors `model.retrieval.geometric_verification` matches. Every method with a head named `local` has local features.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import resize
from model.errors import InvalidInput
from model.networks.autoencoder import AttentiveAutoencoder
from model.networks.heads import Head, MultiHead, RetrievalNetwork
from model.retrieval.embedding import trunk_maps
from model.retrieval.gallery import check_embeddings

DIMENSIONS = 128
"""Maximum length of a descriptor; a `reduction` shortens longer ones."""
KEYPOINTS = 400
"""Maximum keypoints of one image."""
CONTRAST = 16
"""Least difference, of 255, between the darkest and the brightest pixel of a position in some channel; below it, it is blank."""


@dataclass(frozen=True)
class LocalFeatures:
    """The keypoints of one image, highest score first.

    Attributes:
        positions: (K, 2) float32, x and y in pixels of the trunk's input, a square of side `size`.
        scales: (K,) float32, the stride of the map in these pixels: the precision of a position.
        scores: (K,) float32, above 0, descending.
        descriptors: (K, D) float32, L2-normalised.
        size: Side of the trunk's input in pixels.
    """

    positions: NDArray[np.float32]
    scales: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    size: int

    def __post_init__(self) -> None:
        if self.positions.shape != (len(self), 2) or not len(self) == len(self.scales) == len(self.scores):
            raise InvalidInput("Local features need one position, scale, score and descriptor for every keypoint.")
        if not all(np.isfinite(values).all() for values in (self.positions, self.scales, self.scores)):
            raise InvalidInput("A keypoint's position, scale or score is not finite.")
        check_embeddings(self.descriptors)

    def __len__(self) -> int:
        return len(self.descriptors)


def local_head(heads: MultiHead) -> Head | AttentiveAutoencoder:
    """The part that computes local descriptors: the autoencoder if the method has one, else the head named `local`.

    Raises:
        InvalidInput: The method has neither of them.
    """
    if heads.autoencoder is not None:
        return heads.autoencoder
    if "local" not in heads.heads:
        raise InvalidInput("This method has no local head, so it has no local features.", "Use model.method=multi_head.")
    return heads.head("local")


def local_map(heads: MultiHead, shallow: Tensor, deep: Tensor) -> Tensor:
    """The map that `local_head` reads."""
    return shallow if heads.autoencoder is not None else heads.tapped("local", shallow, deep)


@torch.inference_mode()
def extract(
    network: RetrievalNetwork,
    images: Sequence[Tensor],
    size: int,
    *,
    limit: int = KEYPOINTS,
    pyramid: Sequence[float] = (1.0,),
    reduction: NDArray[np.float32] | None = None,
) -> list[LocalFeatures]:
    """Local features of images.

    Args:
        network: Network in evaluation mode.
        images: (3, H, W) uint8, of any size.
        size: Side of the trunk's square input.
        limit: Maximum keypoints of an image.
        pyramid: Multiples of `size` at which keypoints are extracted.
        reduction: Projection from `fit_reduction`, for a head of more than 128 dimensions.

    Returns:
        The local features of each image. Blank positions have no keypoints, so an image of one colour has none.
    """
    levels = []
    for factor in pyramid:
        batch = torch.stack([resize(image, max(1, round(size * factor))) for image in images])
        maps = trunk_maps(network.trunk, batch)
        levels.append(features_of_images(network.heads, batch, *maps, size, limit=limit, reduction=reduction))
    return [strongest(features, limit) for features in zip(*levels, strict=True)]


@torch.inference_mode()
def features_of_images(
    heads: MultiHead,
    images: Tensor,
    shallow: Tensor,
    deep: Tensor,
    size: int,
    *,
    limit: int = KEYPOINTS,
    reduction: NDArray[np.float32] | None = None,
) -> list[LocalFeatures]:
    """Local features of images (B, 3, S, S) uint8, from the trunk's two maps of them. See `extract`."""
    features = local_map(heads, shallow, deep)
    visible = visible_positions(images, *features.shape[2:]).to(features.device)
    return features_of_map(local_head(heads), features, size, visible=visible, limit=limit, reduction=reduction)


def visible_positions(images: Tensor, rows: int, columns: int) -> Tensor:
    """Whether each position of images (B, 3, S, S) uint8 is visible, that is not blank: (B, rows, columns) bool.

    The trunk's features of a blank position depend only on the distance to the image's border, so any two images match there.
    """
    values = images.float()
    highest = F.adaptive_max_pool2d(values, (rows, columns))
    lowest = -F.adaptive_max_pool2d(-values, (rows, columns))
    return (highest - lowest).amax(dim=1) >= CONTRAST


def features_of_map(
    head: Head | AttentiveAutoencoder,
    features: Tensor,
    size: int,
    *,
    visible: Tensor | None = None,
    limit: int = KEYPOINTS,
    reduction: NDArray[np.float32] | None = None,
) -> list[LocalFeatures]:
    """Local features from the map that a head reads, (B, C, H, W). See `extract`.

    A position has no keypoint where the map is zero, or where `visible` (B, H, W) is False.
    """
    vectors, scores = head.local_descriptors(features)
    empty = features.abs().amax(dim=1) == 0
    scores = scores.masked_fill(empty if visible is None else empty | ~visible, 0)
    return keypoints(vectors if reduction is None else vectors @ torch.from_numpy(reduction).to(vectors), scores, size, limit)


def keypoints(vectors: Tensor, scores: Tensor, size: int, limit: int = KEYPOINTS) -> list[LocalFeatures]:
    """The positions with the highest scores, as local features.

    Args:
        vectors: (B, H, W, D); they are normalised here.
        scores: (B, H, W). A score that is not above 0, or not finite, gives no keypoint. Equal scores keep reading order.
        size: Side of the trunk's input, which the map's positions divide evenly.
        limit: Maximum keypoints of an image.
    """
    B, H, W, D = vectors.shape
    if D > DIMENSIONS:
        raise InvalidInput(f"Descriptors have {DIMENSIONS} dimensions at most, not {D}.", "Pass the reduction of fit_reduction.")
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    stride = np.array([size / W, size / H], np.float32)
    positions = (torch.stack([x, y], dim=2).reshape(-1, 2).numpy() + np.float32(0.5)) * stride
    descriptors = F.normalize(vectors, dim=-1).reshape(B, -1, D).detach().float().cpu().numpy()
    features = []
    for descriptor, score in zip(descriptors, scores.reshape(B, -1).detach().float().cpu().numpy(), strict=True):
        good = np.isfinite(score) & (score > 0) & np.isfinite(descriptor).all(1) & descriptor.any(1)
        rows = np.flatnonzero(good)
        rows = rows[np.argsort(-score[rows], kind="stable")][:limit]
        scales = np.full(len(rows), stride.max(), np.float32)
        features.append(LocalFeatures(positions[rows], scales, score[rows], descriptor[rows], size))
    return features


def strongest(levels: Sequence[LocalFeatures], limit: int) -> LocalFeatures:
    """The keypoints with the highest scores of one image's pyramid. Equal scores keep the order of the levels."""
    scores = np.concatenate([level.scores for level in levels])
    rows = np.argsort(-scores, kind="stable")[:limit]
    positions, scales, descriptors = (
        np.concatenate([getattr(level, name) for level in levels])[rows] for name in ("positions", "scales", "descriptors")
    )
    return LocalFeatures(positions, scales, scores[rows], descriptors, levels[0].size)


def fit_reduction(batches: Iterable[Tensor], dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """The projection of long vectors to fewer dimensions that best keeps their cosine similarities.

    It consists of the principal axes of the normalised vectors about the origin: the best approximation of their inner products
    of that rank. Descriptors of two images can be compared only under the same reduction.

    Args:
        batches: Vectors (..., D) of `Head.local_vectors`. One batch at a time is held in memory.
        dimensions: Dimensions to keep.

    Returns:
        (D, dimensions) float32, orthonormal columns.
    """
    moment: Tensor | None = None
    for batch in batches:
        vectors = F.normalize(batch.detach().double().cpu().reshape(-1, batch.shape[-1]), dim=1)
        vectors = vectors[vectors.isfinite().all(1)]
        moment = vectors.T @ vectors + (0 if moment is None else moment)
    if moment is None:
        raise InvalidInput("A reduction needs at least one batch of vectors.")
    axes: NDArray[np.float32] = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :dimensions].float().contiguous().numpy()
    return axes

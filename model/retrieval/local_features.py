"""Local features: where in an image something is to be seen, and what it looks like there. Claim 1's vectors for regions.

The local head makes one vector of every place of its map; the strongest become keypoints with descriptors that
`model.retrieval.geometric_verification` matches. Any method with a head named `local` has them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import normalise, resize
from model.errors import InvalidInput
from model.networks.autoencoder import AttentiveAutoencoder
from model.networks.heads import Head, MultiHead, RetrievalNetwork
from model.retrieval.gallery import check_embeddings

DIMENSIONS = 128
"""Of a descriptor, at most; a longer head's vectors are brought to it by a `reduction`."""
KEYPOINTS = 400
"""At most so many of one image."""
CONTRAST = 16
"""Of 255: a place with less between its darkest and its brightest pixel, in every channel, is blank."""


@dataclass(frozen=True)
class LocalFeatures:
    """The keypoints of one image, highest score first.

    Attributes:
        positions: (K, 2) float32, x and y in pixels of the image that the trunk was given, a square of side `size`.
        scales: (K,) float32, the stride of a keypoint's place in those pixels: how finely it is placed.
        scores: (K,) float32, above 0, descending.
        descriptors: (K, D) float32, L2-normalised.
        size: Side of the image.
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

    @property
    def fractions(self) -> NDArray[np.float32]:
        """(K, 2): the positions as fractions of the original image's width and height, whatever its shape."""
        return self.positions / np.float32(self.size)


def local_head(heads: MultiHead) -> Head | AttentiveAutoencoder:
    """What describes an image's places: the autoencoder, where the method has one, else the head named `local`.

    Raises:
        InvalidInput: The method has neither.
    """
    if heads.autoencoder is not None:
        return heads.autoencoder
    if "local" not in heads.heads:
        raise InvalidInput("This method has no local head, so it has no local features.", "Use model.method=multi_head.")
    return heads.head("local")


def local_map(heads: MultiHead, shallow: Tensor, deep: Tensor) -> Tensor:
    """The map that `local_head` reads."""
    return shallow if heads.autoencoder is not None else heads.tapped("local", shallow, deep)


def local_maps(network: RetrievalNetwork, images: Sequence[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Images (3, H, W) uint8 as the trunk is given them, (B, 3, size, size) uint8, and the map that `local_head` reads."""
    trunk = network.trunk
    batch = torch.stack([resize(image, size) for image in images])
    shallow, deep = trunk(normalise(batch, trunk.mean, trunk.std).to(next(trunk.parameters()).device))
    return batch, local_map(network.heads, shallow, deep)


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
        network: In evaluation mode.
        images: (3, H, W) uint8, of any size.
        size: Side of the square image that the trunk is given.
        limit: Keypoints of an image, at most.
        pyramid: The image is looked at once for each of these multiples of `size`.
        reduction: From `fit_reduction`, for a head of more than 128 dimensions.

    Returns:
        One each. Places where the image is blank give none, and so an image of one colour has none at all.
    """
    head, levels = local_head(network.heads), []
    for factor in pyramid:
        batch, features = local_maps(network, images, max(1, round(size * factor)))
        visible = visible_places(batch, *features.shape[2:]).to(features.device)
        levels.append(features_of_map(head, features, size, visible=visible, limit=limit, reduction=reduction))
    return [strongest(found, limit) for found in zip(*levels, strict=True)]


def visible_places(images: Tensor, rows: int, columns: int) -> Tensor:
    """Where there is something to see in images (B, 3, S, S) uint8: (B, rows, columns) bool.

    What the trunk makes of a blank spot tells only how far the image's border is, by which any two images match.
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

    Where the map is zero, so is a place's score, and where `visible` (B, H, W) is not so.
    """
    places, scores = head.describe(features)
    empty = features.abs().amax(dim=1) == 0
    scores = scores.masked_fill(empty if visible is None else empty | ~visible, 0)
    return keypoints(places if reduction is None else places @ torch.from_numpy(reduction).to(places), scores, size, limit)


def keypoints(places: Tensor, scores: Tensor, size: int, limit: int = KEYPOINTS) -> list[LocalFeatures]:
    """The places with the highest scores, as local features.

    Args:
        places: (B, H, W, D), of any length; normalised here.
        scores: (B, H, W). Places whose score is not above 0, or not finite, give none. Equal scores: in reading order.
        size: Side of the image, which the map's places divide evenly.
        limit: At most so many.
    """
    B, H, W, D = places.shape
    if D > DIMENSIONS:
        raise InvalidInput(f"Descriptors have {DIMENSIONS} dimensions at most, not {D}.", "Pass the reduction of fit_reduction.")
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    stride = np.array([size / W, size / H], np.float32)
    positions = (torch.stack([x, y], dim=2).reshape(-1, 2).numpy() + np.float32(0.5)) * stride
    descriptors = F.normalize(places, dim=-1).reshape(B, -1, D).detach().float().cpu().numpy()
    found = []
    for vectors, score in zip(descriptors, scores.reshape(B, -1).detach().float().cpu().numpy(), strict=True):
        good = np.isfinite(score) & (score > 0) & np.isfinite(vectors).all(1) & vectors.any(1)
        rows = np.flatnonzero(good)
        rows = rows[np.argsort(-score[rows], kind="stable")][:limit]
        scales = np.full(len(rows), stride.max(), np.float32)
        found.append(LocalFeatures(positions[rows], scales, score[rows], vectors[rows], size))
    return found


def strongest(levels: Sequence[LocalFeatures], limit: int) -> LocalFeatures:
    """The keypoints with the highest scores of one image's pyramid. Equal scores: in the order of the levels."""
    scores = np.concatenate([level.scores for level in levels])
    rows = np.argsort(-scores, kind="stable")[:limit]
    positions, scales, descriptors = (
        np.concatenate([getattr(level, name) for level in levels])[rows] for name in ("positions", "scales", "descriptors")
    )
    return LocalFeatures(positions, scales, scores[rows], descriptors, levels[0].size)


def fit_reduction(batches: Iterable[Tensor], dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """The projection of a long head's vectors that keeps most of their cosine similarities, to be stored beside the gallery.

    Principal axes of the normalised vectors about the origin, not about their mean: the best approximation of given rank
    of their inner products. Descriptors of two images are comparable only under the same reduction.

    Args:
        batches: Vectors (..., D) of `Head.places`; held one batch at a time.
        dimensions: To keep.

    Returns:
        (D, dimensions) float32, orthonormal columns.
    """
    moment: Tensor | None = None
    for places in batches:
        vectors = F.normalize(places.detach().double().cpu().reshape(-1, places.shape[-1]), dim=1)
        vectors = vectors[vectors.isfinite().all(1)]
        moment = vectors.T @ vectors + (0 if moment is None else moment)
    if moment is None:
        raise InvalidInput("A reduction needs at least one batch of places.")
    axes: NDArray[np.float32] = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :dimensions].float().contiguous().numpy()
    return axes

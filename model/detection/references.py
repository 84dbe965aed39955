"""What the stored network says of objects: the vectors of its heads, and of the local head's places, for squares cut from images.

A square is an object's outline cut out of its image, everything else in the mean colour of the network's training images.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.networks.heads import RetrievalNetwork
from model.retrieval.embedding import trunk_maps
from model.retrieval.local_features import local_head, local_map

Floats = NDArray[np.float32]

SIDE = 160
"""Side of a square in pixels; less if the network takes smaller images."""
GRID = 40
"""Rows and columns of the lightness that is compared."""
BATCH = 32
"""Squares in one forward pass."""
_READ = ("global", "local")


@dataclass(frozen=True)
class References:
    """What the network says of N squares.

    Attributes:
        heads: (N, D) float32 by name, L2-normalised: the heads `global` and `local`. A method without a global head has its
            merged vector in that place.
        places: (N, R, R, D) float32, L2-normalised: the local head's vectors of its positions; None if there is no local head.
        lightness: (N, GRID, GRID) uint8, blurred.
    """

    heads: dict[str, Floats]
    places: Floats | None
    lightness: NDArray[np.uint8]


class Describer:
    """The network as it describes squares.

    Args:
        network: Network in evaluation mode.
        image_size: Side of the trunk's square input.
    """

    def __init__(self, network: RetrievalNetwork, image_size: int) -> None:
        self.network = network
        self.side = min(SIDE, image_size)
        mean = torch.tensor(network.trunk.mean) * 255
        self.fill = mean.round().to(torch.uint8).numpy()
        heads = network.heads
        self.has_places = heads.autoencoder is not None or "local" in heads.architecture.heads
        self.features = frozenset({"global"} | ({"local", "places"} if "local" in heads.architecture.heads else set()))

    @torch.inference_mode()
    def describe(self, squares: NDArray[np.uint8]) -> References:
        """Squares (N, S, S, 3) uint8 RGB -> their references. One forward pass for every 32 squares."""
        vectors: list[dict[str, Floats]] = []
        places: list[Floats] = []
        for start in range(0, len(squares), BATCH):
            images = torch.from_numpy(squares[start : start + BATCH]).permute(0, 3, 1, 2)
            shallow, deep = trunk_maps(self.network.trunk, images)
            said = self.network.heads(shallow, deep)
            one = {name: vector for name, vector in said.heads.items() if name in _READ}
            vectors.append({name: vector.cpu().numpy() for name, vector in ({"global": said.merged} | one).items()})
            if self.has_places:
                at, _ = local_head(self.network.heads).local_descriptors(local_map(self.network.heads, shallow, deep))
                places.append(F.normalize(at.float(), dim=-1).cpu().numpy())
        heads = {name: np.concatenate([each[name] for each in vectors]) for name in vectors[0]} if vectors else {}
        return References(heads, np.concatenate(places) if places else None, lightness(squares))


def lightness(squares: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squares (N, S, S, 3) uint8 RGB -> their blurred lightness on a grid, (N, GRID, GRID) uint8."""
    grids = np.empty((len(squares), GRID, GRID), np.uint8)
    for number, square in enumerate(squares):
        grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
        grids[number] = cv2.GaussianBlur(cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    return grids

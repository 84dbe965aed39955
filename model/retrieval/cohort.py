"""The cohort of a network: the classes that it was trained on, by which `verify` normalises the similarity of two images.

Images of a class that resembles a training class lie closer together than images of a class that resembles none, whether they
show the same thing or not. One threshold of similarity for both accepts too much of the former or too little of the latter. So
each image has an offset, a share of its similarity to the nearest class of the cohort, and a pair's score is its similarity
less both offsets: an adaptive s-norm (Matejka et al., Interspeech 2017) without its variances. docs/decisions/0019-calibration.md
has what it was measured to give.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.data.spread import evenly
from model.errors import InvalidInput

COHORT = "cohort.safetensors"
"""File of a cohort in the folder of a checkpoint or release."""
WEIGHT = 0.25
"""Share of an image's similarity to the nearest class that is its offset."""
MOST = 2000
"""Most classes of a cohort: they bound the time of an offset for any number of training classes."""
_REMEDY = "Fetch the release again, or run the pipeline again."


@dataclass(frozen=True)
class Cohort:
    """The means of training classes.

    Attributes:
        means: (C, D) float32, L2-normalised.
        weight: Share of the similarity to the nearest mean that is an image's offset.
    """

    means: NDArray[np.float32]
    weight: float = WEIGHT

    @classmethod
    def of(cls, vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> "Cohort":
        """The cohort of training images: vectors (N, D), L2-normalised, and their classes (N,)."""
        classes = np.unique(labels)
        sums = [vectors[labels == each].sum(axis=0) for each in classes[evenly(len(classes), MOST)]]
        means = np.stack(sums).astype(np.float32)
        return cls(means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-12))

    def offsets(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The offset (N,) of each vector (N, D): what the similarity of a pair is less by, for each of the two."""
        return np.asarray(self.weight * (vectors @ self.means.T).max(axis=1, initial=-1.0), dtype=np.float32)

    def save(self, file: Path) -> None:
        """Write the cohort to a file."""
        save_file({"means": self.means}, file, metadata={"weight": repr(self.weight)})

    @classmethod
    def load(cls, file: Path) -> "Cohort":
        """Read what `save` wrote.

        Raises:
            InvalidInput: The file holds no cohort, or there is none.
        """
        try:
            with safe_open(file, framework="np") as stored:
                found = cls(stored.get_tensor("means"), float((stored.metadata() or {})["weight"]))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InvalidInput(f"{file.name} does not hold a cohort.", _REMEDY) from error
        return found

"""The samples that a listing may become, with all that is known of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.importing.checks import Inspection
from model.data.importing.listing import Listing
from model.data.importing.splits import DISTRACTOR, SCENE, UNSET
from model.data.manifest import SPLITS, sample_id


@dataclass
class Samples:
    """The rows of a listing with all that is known of them.

    Attributes:
        listing: The listing that the rows come from.
        inspection: The results of the check of its images.
        sides: (N,) int8, indices into `SPLITS`; `UNSET` where no side was chosen yet.
        keep: (N,) bool, whether the row becomes a sample.
    """

    listing: Listing
    inspection: Inspection
    sides: NDArray[np.int8]
    keep: NDArray[np.bool_]

    @classmethod
    def of(cls, listing: Listing, inspection: Inspection) -> "Samples":
        """All usable rows, on the sides that the source gives."""
        return cls(listing, inspection, np.frombuffer(listing.given, np.int8).copy(), inspection.valid.copy())

    @property
    def files(self) -> NDArray[np.int64]:
        """(N,) the file of each row."""
        return np.frombuffer(self.listing.file, np.int64)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the class of each row."""
        return np.frombuffer(self.listing.label, np.int64)

    @property
    def compared(self) -> NDArray[np.bool_]:
        """(N,) whether the row is one to train on or to query with: neither a scene nor a distractor."""
        return (self.sides != SCENE) & (self.sides != DISTRACTOR)

    def per_class(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(C,) the number of `rows` (N,) in each class."""
        return np.bincount(self.labels[rows], minlength=len(self.listing.labels))

    def identity(self) -> NDArray[np.int64]:
        """(N,) a number for each row; two rows have the same number if their files' bytes and their boxes are equal."""
        corners = np.nan_to_num(self.inspection.boxes, nan=-1.0).view(np.uint8).reshape(len(self.files), 16)
        keys = np.ascontiguousarray(np.hstack([self.inspection.md5[self.files], corners])).view("V32").ravel()
        return np.unique(keys, return_inverse=True)[1].astype(np.int64)

    def name(self, row: int) -> str:
        """Name of a row for people: its file, box, class and side of the split."""
        label, side = self.listing.labels[int(self.labels[row])], int(self.sides[row])
        about = label if side == UNSET else f"{label}, {SPLITS[side]}"
        return f"{sample_id(self.listing.files[int(self.files[row])], self.inspection.boxes[row])} ({about})"

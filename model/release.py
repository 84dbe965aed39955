"""The release: the immutable folder that is evaluated, registered, promoted and served as one.

manifest.json         format, embedding_space_id, sha256 and size of every file, data pin, code revision
weights.safetensors   the whole network
config.json           how to build it: method, trunk, size of image, heads
gallery/              vectors, labels, ids, groups, and the index of a large one; or where Milvus has the vectors
calibration.json      thresholds at stated false-accept rates
golden/               a few query images and the answers they must give
cohort.safetensors           training classes by which `verify` normalises similarities; not in releases of earlier code
local_features.safetensors   local features of the gallery and their ratio, if the release re-ranks
exemplars.safetensors        enrolled objects and how their detections are scored, if the release detects
"""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import InvalidInput, NotFound
from model.files import atomic_folder, read_json, sha256_file, sha256_json
from model.networks.architecture import CONFIG, WEIGHTS
from model.retrieval.cohort import COHORT, Cohort
from model.retrieval.galleries.stored import load_gallery
from model.retrieval.gallery import Gallery
from model.schemas.calibration import Calibration
from model.schemas.data_pin import DataPin
from model.schemas.document import read_schema
from model.schemas.golden import GoldenQuery
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest, StoredFile

if TYPE_CHECKING:
    from model.detection.detector import Detector
    from model.networks.heads import RetrievalNetwork
    from model.networks.stored import NetworkSpec
    from model.retrieval.reranker import Reranker
    from model.retrieval.retriever import Retriever

LOCAL_FEATURES = "local_features.safetensors"
EXEMPLARS = "exemplars.safetensors"
_PARTS = (WEIGHTS, CONFIG, "calibration.json", "gallery", "golden")
_OPTIONAL = (COHORT, LOCAL_FEATURES, EXEMPLARS)


@dataclass(frozen=True)
class Release:
    """A release folder whose files were checked against its manifest.

    Attributes:
        folder: The folder.
        manifest: What it holds.
        signature: Its signature, which the registry keeps beside it: see `serving.signatures`; empty if it has none.
    """

    folder: Path
    manifest: ReleaseManifest
    signature: str = ""

    @property
    def id(self) -> str:
        """Id of the release: a hash of its manifest, which holds the hashes of all files."""
        return self.manifest.release_id

    @property
    def embedding_space_id(self) -> str:
        """Id of weights, configuration and preprocessing. Vectors of two spaces must not be compared."""
        return self.manifest.embedding_space_id

    @property
    def pin(self) -> DataPin:
        """Pin of the data that the network was trained on."""
        return self.manifest.data

    @property
    def gallery_pins(self) -> tuple[DataPin, ...]:
        """Pins of the data that the gallery comes from: the training data, unless images were enrolled or removed."""
        return self.manifest.gallery_pins

    @cached_property
    def spec(self) -> "NetworkSpec":
        """Description of the network."""
        from model.networks.stored import NetworkSpec  # imports torch, which the check of a release does not need

        return NetworkSpec.load(self.folder)

    @property
    def size_mb(self) -> float:
        """Size of its files in MiB."""
        return round(sum(file.size for file in self.manifest.files.values()) / 2**20, 3)

    @cached_property
    def calibration(self) -> Calibration:
        """Thresholds at stated false-accept rates."""
        return read_schema(Calibration, self.folder / "calibration.json", ReleaseManifest.REMEDY)

    @cached_property
    def cohort(self) -> Cohort | None:
        """The classes by which similarities of pairs are normalised; None if its thresholds hold for similarities as they are.

        Raises:
            InvalidInput: The file does not hold a cohort.
        """
        return Cohort.load(self.folder / COHORT) if self.calibration.normalised else None

    @cached_property
    def gallery(self) -> Gallery:
        """The gallery that queries are compared with.

        Raises:
            Conflict: The gallery is of another embedding space, or its index was made from other vectors.
            InvalidInput: A file is damaged.
        """
        vectors = self.manifest.files.get("gallery/vectors.npy")
        hashed = vectors.sha256 if vectors else None
        return load_gallery(self.folder / "gallery", self.embedding_space_id, vectors_sha256=hashed)

    @cached_property
    def reranker(self) -> "Reranker | None":
        """What sorts the first answers of a search again, by local features; None if the release does not re-rank.

        Raises:
            InvalidInput: The file does not hold the local features of the gallery.
        """
        if LOCAL_FEATURES not in self.manifest.files:
            return None
        from model.retrieval.stored_reranker import load_reranker  # imports torch

        file = self.folder / LOCAL_FEATURES
        return load_reranker(file, space=self.embedding_space_id, images=len(self.gallery), size=self.spec.image_size)

    @cached_property
    def network(self) -> "RetrievalNetwork":
        """The network for inference, which retriever and detector share."""
        from model.networks.stored import load_network

        network = load_network(self.spec, self.folder)
        network.trunk = network.trunk.folded()
        return network

    @cached_property
    def detector(self) -> "Detector | None":
        """What finds the enrolled objects in a scene; None if the release does not detect.

        Raises:
            InvalidInput: The file does not hold exemplars of this embedding space.
        """
        if EXEMPLARS not in self.manifest.files:
            return None
        from model.detection.detector import Detector  # imports torch
        from model.detection.references import Describer
        from model.detection.stored_exemplars import load_exemplars

        exemplars, labelling = load_exemplars(self.folder / EXEMPLARS, space=self.embedding_space_id)
        return Detector(exemplars, Describer(self.network, self.spec.image_size), labelling)

    @cached_property
    def golden(self) -> list[GoldenQuery]:
        """The golden queries and the answers that this release must give.

        Raises:
            InvalidInput: The golden queries cannot be read.
        """
        try:
            return [GoldenQuery.model_validate(answer) for answer in read_json(self.folder / "golden" / "answers.json")]
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput(f"The golden queries of release {self.id} are damaged.", "Run the pipeline again.") from error

    def golden_image(self, query: GoldenQuery) -> Path:
        """The image file of a golden query."""
        return self.folder / "golden" / query.file

    def retriever(self) -> "Retriever":
        """The loaded network over the gallery, with the reranker if there is one."""
        from model.retrieval.retriever import Retriever

        return Retriever(self.network, self.spec.image_size, self.gallery, self.reranker)


def space_id(folder: Path) -> str:
    """A hash of the weights, configuration and preprocessing in a release folder."""
    return sha256_json([read_json(folder / CONFIG), sha256_file(folder / WEIGHTS)])[:16]


def seal_release(
    parts: Path, out: Path, *, pin: DataPin, code_revision: str, gallery: tuple[DataPin, ...] | None = None
) -> Release:
    """Copy the parts of a release to `out` and write the manifest that makes it one.

    Args:
        parts: Folder with all files but the manifest. Cohort, local features and exemplars may be missing.
        out: Folder of the release, which appears whole or not at all.
        pin: Pin of the training data.
        code_revision: Revision of the code.
        gallery: Pins of the data that the gallery comes from; None stands for the training data.
    """
    with atomic_folder(out) as partial:
        for part in (*_PARTS, *(name for name in _OPTIONAL if (parts / name).is_file())):
            copy = shutil.copytree if (parts / part).is_dir() else shutil.copy2
            copy(parts / part, partial / part)
        manifest = ReleaseManifest(
            embedding_space_id=space_id(partial),
            data=pin,
            gallery=gallery,
            code_revision=code_revision,
            files={name: _stored_file(partial / name) for name in _files(partial)},
        )
        manifest.save(partial / RELEASE_MANIFEST)
    return open_release(out)


def open_release(folder: Path) -> Release:
    """Open a release folder after a check of every file against the manifest.

    Raises:
        NotFound: There is no release.
        InvalidInput: A file is missing, extra, a link or changed, or the manifest is not of this format; the message names it.
    """
    if not (folder / RELEASE_MANIFEST).is_file():
        raise NotFound(f"{folder} holds no release.", "Name a folder that the step index wrote.")
    manifest = ReleaseManifest.load(folder / RELEASE_MANIFEST)
    declared = manifest.files
    present = set(_files(folder)) - {RELEASE_MANIFEST}
    _refuse("misses", set(declared) - present, folder)
    _refuse("holds what its manifest does not name:", present - set(declared), folder)
    _refuse("was changed:", {name for name in present if _stored_file(folder / name) != declared[name]}, folder)
    return Release(folder, manifest)


def _files(folder: Path) -> list[str]:
    entries = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    _refuse("holds links:", {path.name for path in entries if path.is_symlink()}, folder)
    return sorted(path.relative_to(folder).as_posix() for path in entries)


def _refuse(what: str, names: set[str], folder: Path) -> None:
    if names:
        raise InvalidInput(
            f"The release at {folder} {what} {', '.join(sorted(names)[:5])}.", "Fetch it again, or run the pipeline again."
        )


def _stored_file(file: Path) -> StoredFile:
    return StoredFile(sha256=sha256_file(file), size=file.stat().st_size)

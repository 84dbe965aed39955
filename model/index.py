"""From a trained network to a release: gallery, calibration, golden queries and manifest."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import load_file

from model.data.cache.feature_maps import known_maps
from model.data.manifest import Manifest, read_manifest
from model.data.spread import evenly
from model.detection.of_manifest import has_boxes, make_detector
from model.detection.references import Describer
from model.detection.stored_exemplars import save_exemplars
from model.errors import InvalidInput
from model.evaluation.calibration import calibrate
from model.files import write_json
from model.golden import query_image, write_golden
from model.networks.architecture import WEIGHTS
from model.networks.heads import RetrievalNetwork
from model.networks.stored import NetworkSpec, load_network
from model.progress import Progress
from model.release import EXEMPLARS, LOCAL_FEATURES, Release, seal_release, space_id
from model.retrieval.cohort import COHORT
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.retrieval.reranker import Reranker
from model.retrieval.retriever import Retriever
from model.retrieval.shards import GalleryImages, Shards
from model.retrieval.stored_reranker import save_reranker
from model.schemas.calibration import Calibration
from model.schemas.data_pin import DataPin
from model.schemas.gallery_record import BY_SIZE, IndexPlan
from model.schemas.train_report import read_training
from model.training.train import HELD_OUT

_LOG = logging.getLogger(__name__)


def build_release(
    dataset: Path,
    checkpoint: Path,
    out: Path,
    *,
    pin: DataPin,
    code_revision: str,
    work: Path | None = None,
    golden_queries: int = 4,
    detection: Literal["auto", "always", "never"] = "auto",
    index: IndexPlan = BY_SIZE,
    shards: int = 1,
    progress: Progress | None = None,
) -> Release:
    """Make the release of a trained network over every image of its data, with their local features if training chose so.

    Args:
        dataset: Folder of the pinned data.
        checkpoint: Folder that `train` wrote.
        out: Folder of the release.
        pin: Pin of the data.
        code_revision: Revision of the code, which the manifest records.
        work: Folder in which a training with a frozen trunk left feature maps; maps that it lacks are computed.
        golden_queries: Number of golden queries.
        detection: Whether the release detects; `auto`: if the data have boxes.
        index: How the gallery is to be searched.
        shards: Shards in which the gallery is embedded, into `work`; those that `embed_shard` left there are read.
        progress: Called after every batch.
    """
    spec = NetworkSpec.load(checkpoint)
    manifest = read_manifest(dataset)
    images = _images(spec, checkpoint, manifest, pin, work)
    network, seen = images.network, images.images
    parted = _shards(images, checkpoint, work, pin, code_revision, shards) if work and shards > 1 else None
    vectors = parted.all_vectors(progress) if parted else images.vectors(progress)
    entries = Entries.of(seen.labels, seen.ids, seen.classes, seen.groups if seen.has_groups else None)
    embedded = LocalGallery(vectors, entries)
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder)
        shutil.copy2(checkpoint / WEIGHTS, parts)
        spec.save(parts)
        calibration = _calibration(checkpoint)
        write_json(parts / "calibration.json", calibration.model_dump())
        if calibration.normalised:
            shutil.copy2(checkpoint / COHORT, parts)
        embedded.save(parts / "gallery", space_id(parts), index)
        gallery = load_gallery(parts / "gallery", space_id(parts))  # golden answers are those of the index
        reranker = None
        if ratio := _ratio(checkpoint):
            reduction = images.reduction
            features = parted.all_features() if parted else images.features(reduction)
            save_reranker(parts / LOCAL_FEATURES, features, reduction, ratio, space_id(parts))
            reranker = Reranker(features, reduction, ratio, budget_ms=np.inf)  # golden answers do not depend on the time
        if detection == "always" or (detection == "auto" and has_boxes(manifest)):
            _save_detector(parts, manifest, network, spec.image_size)
        rows = evenly(len(seen), golden_queries).tolist()
        retriever = Retriever(network, spec.image_size, gallery, reranker)
        write_golden(parts / "golden", (query_image(seen, row) for row in rows), retriever)
        return seal_release(parts, out, pin=pin, code_revision=code_revision)


def embed_shard(
    dataset: Path,
    checkpoint: Path,
    *,
    pin: DataPin,
    code_revision: str,
    work: Path,
    shard: int,
    shards: int,
    progress: Progress | None = None,
) -> int:
    """Embed one shard of the gallery into `work`, where `build_release` finds it. A killed call goes on where it was.

    Args:
        dataset: Folder of the pinned data.
        checkpoint: Folder that `train` wrote.
        pin: Pin of the data.
        code_revision: Revision of the code: that of another one leaves shards of its own.
        work: Folder of reusable work files.
        shard: Number of the shard, from 0.
        shards: Number of shards.
        progress: Called after every batch.

    Returns:
        The number of images in the shard.

    Raises:
        InvalidInput: There is no such shard.
    """
    if not 0 <= shard < shards:
        raise InvalidInput(f"There is no shard {shard} of {shards}.", "Shards are numbered from 0; index.shards says how many.")
    spec = NetworkSpec.load(checkpoint)
    images = _images(spec, checkpoint, read_manifest(dataset), pin, work)
    parted = _shards(images, checkpoint, work, pin, code_revision, shards)
    rows = parted.rows(shard)
    if rows.start < rows.stop:
        parted.vectors(shard, progress)
        if _ratio(checkpoint):
            parted.features(shard)
    return rows.stop - rows.start


def _images(spec: NetworkSpec, checkpoint: Path, manifest: Manifest, pin: DataPin, work: Path | None) -> GalleryImages:
    """The images of a release's gallery: all but whole scenes."""
    network = load_network(spec, checkpoint)
    maps = known_maps(manifest, network.trunk, spec.image_size, work, pin.md5)
    return GalleryImages(network, spec.image_size, manifest.classified, maps)


def _shards(images: GalleryImages, checkpoint: Path, work: Path, pin: DataPin, code_revision: str, count: int) -> Shards:
    return Shards.at(work, images, count, space=space_id(checkpoint), data_md5=pin.md5, code_revision=code_revision)


def _calibration(checkpoint: Path) -> Calibration:
    """The thresholds, from the embeddings of held-out images that the training stored. One of earlier code stored no offsets."""
    held_out = load_file(checkpoint / HELD_OUT)
    return calibrate(held_out["vectors"], held_out["labels"], held_out["folds"], held_out.get("offsets"))


def _ratio(checkpoint: Path) -> float | None:
    """The ratio of re-ranking that the training chose; None if it chose none."""
    chosen = read_training(checkpoint).reranking
    return chosen.ratio if chosen else None


def _save_detector(parts: Path, manifest: Manifest, network: RetrievalNetwork, size: int) -> None:
    """Enrol the objects. Data whose images have no keypoints give a release that does not detect."""
    inference = RetrievalNetwork(network.trunk.folded(), network.heads)
    try:
        detector = make_detector(manifest, Describer(inference, size))
    except InvalidInput as error:
        _LOG.warning("The release does not detect: %s", error.headline)
        return
    save_exemplars(parts / EXEMPLARS, detector.exemplars, detector.labelling, space_id(parts))

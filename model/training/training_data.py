"""What all trainings on one data set read: its settings and method, its samples, and the cache of their maps or images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from model.config import ModelConfig, TrainConfig
from model.data.cache.feature_maps import FeatureMaps, feature_maps, features_folder
from model.data.cache.stored_images import images_folder, stored_images
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.networks.methods import Method, get_method
from model.networks.trunk import Trunk, make_trunk
from model.progress import Progress

_STORED_SIDE = 1.5
"""Side of a stored image relative to the trunk's input: a mean crop, 70 % of the area, is then reduced a little, not enlarged."""


@dataclass(frozen=True)
class TrainingData:
    """What all trainings on one data set share.

    Attributes:
        model: Settings of the network.
        config: Settings of the training.
        method: The method that `model` names.
        manifest: The samples that a training reads.
        cached: The trunk's maps of them, or the images, as `train.trunk` asks.
        trunk: The trunk, if it is frozen; a trunk that is trained is made for each training.
    """

    model: ModelConfig
    config: TrainConfig
    method: Method
    manifest: Manifest
    cached: FeatureMaps | NDArray[np.uint8]
    trunk: Trunk | None


def open_data(
    manifest: Manifest,
    model: ModelConfig,
    config: TrainConfig,
    *,
    data_md5: str,
    work: Path,
    progress: Progress | None,
    fabric: Fabric,
) -> TrainingData:
    """Open the cache of maps or images that all trainings on the data read; what it lacks is computed.

    Raises:
        InvalidInput: There are fewer than two training classes, or a setting names something unknown.
    """
    if len(np.unique(manifest.labels[manifest.rows("train")])) < 2:
        raise InvalidInput("Training needs images of at least two classes.", "Add classes to the data set.")
    method = get_method(model.method, global_attention=model.global_attention, local_attention=model.local_attention)
    if config.trunk == "finetune":
        seen, side = manifest.select(manifest.rows("train", "val")), round(_STORED_SIDE * model.image_size)
        images = stored_images(seen, side, images_folder(work, data_md5, side), progress)
        return TrainingData(model, config, method, seen, images, None)
    trunk = load_trunk(model, fabric).requires_grad_(False)
    seen = manifest.classified  # the steps after the training read the test images too, so all samples are mapped
    cache = features_folder(work, data_md5, trunk, model.image_size)
    return TrainingData(model, config, method, seen, feature_maps(seen, trunk, model.image_size, cache, progress), trunk)


def load_trunk(model: ModelConfig, fabric: Fabric) -> Trunk:
    """The trunk with its weights, on the device, in the memory format of fast kernels."""
    trunk: Trunk = make_trunk(model.trunk, model.weights).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return trunk.to(fabric.device)

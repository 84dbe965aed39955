"""Training batches of m images from each of several classes, reproducible from seed and epoch."""

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions

from model.errors import InvalidInput


def epoch_batches(
    labels: NDArray[np.int64], *, classes_per_batch: int, images_per_class: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """The batches of one epoch.

    Args:
        labels: (N,) class of each sample.
        classes_per_batch: Classes in a batch; fewer if there are fewer classes.
        images_per_class: Samples of each class in a batch; a class with fewer repeats some.
        seed: Seed of the training.
        epoch: Number of the epoch, from 0. Its draws depend only on seed and epoch, so a resumed training draws the same.

    Returns:
        (steps, B) indices into `labels`, for at least one step.

    Raises:
        InvalidInput: There are fewer than two classes.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InvalidInput("Training needs images of at least two classes.", "Add classes to the data set.")
    batch = min(classes_per_batch, len(classes)) * images_per_class
    length = max(batch, len(labels) // batch * batch)
    common_functions.NUMPY_RANDOM.seed(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    sampler = MPerClassSampler(torch.from_numpy(labels), images_per_class, batch, length)
    return np.fromiter(iter(sampler), dtype=np.int64).reshape(-1, batch)

"""MAP@R on the validation classes: the training classes that are held out to choose the epoch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import GlocalError
from model.evaluation.metrics import evaluate_retrieval
from model.networks.heads import Embeddings, RetrievalNetwork, untrained_network
from model.training.distributed import gather_rows, share
from model.training.gradients import map_tensors
from model.training.learner import Learner


def validate(learner: Learner) -> float:
    """MAP@R of the evaluated network on the validation classes; 0 where there are none."""
    if not len(learner.val_rows):
        return 0.0
    return map_at_r(learner, embed_rows(learner, learner.evaluated, learner.val_rows).merged)


def validate_untrained(learner: Learner) -> float:
    """MAP@R of the trunk as it is, without heads, on the validation classes; 0 where there are none."""
    if not len(learner.val_rows):
        return 0.0
    return map_at_r(learner, embed_rows(learner, untrained_network(learner.network.trunk), learner.val_rows).merged)


def map_at_r(learner: Learner, merged: Tensor) -> float:
    """MAP@R of the validation images' merged embeddings (N, D); every image queries all others.

    Raises:
        GlocalError: An embedding is not finite, or zero: the training has diverged.
    """
    rows = learner.val_rows
    if not bool((merged.norm(dim=1) > 0.5).all()):  # also false for NaN
        raise GlocalError("The network's embeddings are no longer finite.", "Lower train.learning_rate.")
    per_query = evaluate_retrieval(merged.cpu().numpy(), learner.manifest.labels[rows], learner.manifest.ids[rows])
    return per_query.mean("map_at_r") if per_query.has_match.any() else 0.0


@torch.inference_mode()
def embed_rows(learner: Learner, network: RetrievalNetwork, rows: NDArray[np.int64]) -> Embeddings:
    """The embeddings of rows of the manifest. The processes share the work, and each receives all embeddings."""
    network.eval()
    mine = rows[share(learner.fabric, len(rows))]
    batches = learner.unaugmented_batches(mine if len(mine) else rows[:1])  # an empty share embeds one row, to know the shape
    parts = [network(*inputs) for inputs in batches]
    return map_tensors(lambda *some: gather_rows(learner.fabric, torch.cat(some)[: len(mine)], len(rows)), *parts)

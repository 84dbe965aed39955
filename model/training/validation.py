"""How good the network is, on the classes held out for that."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import GlocalError
from model.evaluation.metrics import evaluate_retrieval
from model.networks.heads import Embeddings, RetrievalNetwork
from model.training.distributed import gather_rows, share
from model.training.gradients import map_tensors
from model.training.learner import Learner


def validate(learner: Learner) -> float:
    """MAP@R on the validation classes, each image a query to all others; 0 where there are none."""
    return judge(learner, embed_rows(learner, learner.judged, learner.val_rows).merged) if len(learner.val_rows) else 0.0


def judge(learner: Learner, merged: Tensor) -> float:
    """MAP@R of the validation images' merged embeddings (N, D).

    Raises:
        GlocalError: The training has diverged: an embedding is not finite, or zero.
    """
    rows = learner.val_rows
    if not bool((merged.norm(dim=1) > 0.5).all()):  # also false for NaN
        raise GlocalError("The network's embeddings are no longer finite.", "Lower train.learning_rate.")
    per_query = evaluate_retrieval(merged.cpu().numpy(), learner.manifest.labels[rows], learner.manifest.ids[rows])
    return float(per_query.map_at_r[per_query.has_match].mean())


@torch.inference_mode()
def embed_rows(learner: Learner, network: RetrievalNetwork, rows: NDArray[np.int64]) -> Embeddings:
    """The embeddings of rows of the manifest. Processes share the work; each gets all."""
    network.eval()
    mine = rows[share(learner.fabric, len(rows))]
    parts = [network(*inputs) for inputs in learner.plain(mine if len(mine) else rows[:1])]  # no share: one, to have a shape
    return map_tensors(lambda *some: gather_rows(learner.fabric, torch.cat(some)[: len(mine)], len(rows)), *parts)

"""A training from its data to the stored network: selection on held-out classes, then a training on all of them.

If the training is killed, the next call with the same `work` folder resumes after the last stored step and gives the same
result. The same call in several processes is one training: see `model.training.distributed`.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file

from model.config import ModelConfig, TrainConfig
from model.data.manifest import Manifest, read_manifest
from model.errors import Terminated
from model.files import atomic_folder, sha256_json, write_json
from model.locks import hold
from model.networks.stored import NetworkSpec, save_network
from model.progress import Progress
from model.schemas.train_report import TrainReport
from model.training.checkpoint import Counters
from model.training.distributed import any_process, make_fabric
from model.training.epochs import RESUMES, train_epoch
from model.training.folds import Fold, class_folds
from model.training.initialisation import finish_init, init_heads, project_once
from model.training.learner import Learner, TrainingData, make_learner, open_data
from model.training.reporting import report_of, report_without_folds
from model.training.selection import Choice, Say, Trial, Workshop, candidates, select
from model.training.stopping import sigterm_flag
from model.training.validation import embed_rows

HELD_OUT = "held_out.safetensors"
"""File of embeddings of held-out images, by networks that were not trained on their classes."""
_SAME_RESULT = {"device", "workers", "chunk", "compile", "checkpoint_every"}
"""Settings that do not change the result of a training: a checkpoint made under other values of them is resumed."""

_LOG = logging.getLogger(__name__)


def train(
    dataset: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    data_md5: str,
    work: Path,
    out: Path,
    progress: Progress | None = None,
    choice: Choice | None = None,
) -> TrainReport:
    """Train a network on a data set's training and validation classes.

    Args:
        dataset: A folder with a manifest.
        model: Settings of the network.
        config: Settings of the training.
        data_md5: Hash of the data; with the settings it names the checkpoint to resume.
        work: Folder of checkpoints, cached maps and images, kept between calls. Calls with the same folder take turns.
        out: Receives `weights.safetensors`, `config.json`, `training.json` and `held_out.safetensors`, whole or not at all.
        progress: Called for every cached batch and with every sentence of the log, in the first process only.
        choice: What another training on these data chose; None to select.

    Raises:
        InvalidInput: There are fewer than two training classes, or a setting names something unknown.
        GlocalError: The loss is no longer finite.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    manifest = read_manifest(dataset)
    key = sha256_json([data_md5, model.model_dump(), config.model_dump(exclude=_SAME_RESULT)])
    fabric = make_fabric(config)
    shown = progress if fabric.is_global_zero else None
    say = _speaker(progress) if fabric.is_global_zero else _silent
    with _exclusive(fabric, work / "training" / key[:16]) as folder, sigterm_flag() as received:
        torch.manual_seed(config.seed)
        with fabric.rank_zero_first():  # the other processes find the maps in the cache
            data = open_data(manifest, model, config, data_md5=data_md5, work=work, progress=shown, fabric=fabric)
        shop = Workshop(data, fabric, folder, key, say, lambda: any_process(fabric, received()))
        ...

"""One epoch of a training: batches, gradients, steps, learning rates and checkpoints."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from model.data.sampler import epoch_batches
from model.errors import Diverged, InvalidInput, Terminated
from model.training.checkpoint import Counters
from model.training.gradients import batch_gradients
from model.training.learner import Learner

RESUMES = "The same command goes on from there."

Save = Callable[[Counters], None]
"""Function that is called with the progress of the training after some steps, to store a checkpoint."""


def train_epoch(learner: Learner, counters: Counters, save: Save, stopping: Callable[[], bool]) -> float:
    """Train one epoch from the step that the counters name; returns the mean loss.

    Raises:
        Diverged: The loss is no longer finite.
        Terminated: SIGTERM arrived; a checkpoint holds the progress.
    """
    config, epoch, device = learner.config, counters.epoch, learner.fabric.device
    batches = epoch_batches(
        learner.labels,
        classes_per_batch=config.classes_per_batch,
        images_per_class=config.images_per_class,
        seed=config.seed,
        epoch=epoch,
    )
    if batches.shape[1] < learner.fabric.world_size:
        raise InvalidInput("There are more processes than images in a batch.", "Use fewer, or raise train.classes_per_batch.")
    learner.mode.set_training()
    trained = [parameter for parameter in learner.network.parameters() if parameter.requires_grad]
    total = torch.tensor(counters.loss, dtype=torch.float64, device=device)  # read seldom, because reading waits for the GPU
    for step, inputs in enumerate(learner.augmented_batches(batches, epoch, counters.step), start=counters.step):
        _set_rates(learner, epoch * len(batches) + step, len(batches))
        labels = torch.from_numpy(learner.labels[batches[step]]).to(device)
        total += batch_gradients(learner.fabric, trained, learner.embed, learner.loss, inputs, labels, config.chunk)
        nn.utils.clip_grad_value_(trained, config.clip)
        learner.optimizer.step()
        learner.average()
        stopped = stopping()
        if stopped or (step + 1) % config.checkpoint_every == 0:
            save(replace(counters, step=step + 1, loss=_finite(total, epoch)))
        if stopped:
            raise Terminated(f"Stopped after {step + 1} of {len(batches)} steps of epoch {epoch + 1}.", RESUMES)
    return _finite(total, epoch) / len(batches)


def _finite(total: Tensor, epoch: int) -> float:
    """The sum of losses as a number. It is checked before every checkpoint, so that none holds a diverged network."""
    if not torch.isfinite(total):
        raise Diverged(f"The loss is no longer finite in epoch {epoch + 1}.", "Lower train.learning_rates.")
    return total.item()


def _set_rates(learner: Learner, step: int, steps_per_epoch: int) -> None:
    """Set the learning rates: a linear rise over the warm-up, and half a cosine down to zero.

    After a random init the trunk's rate is 0 during the warm-up, so that gradients of random heads do not destroy it.
    """
    config = learner.config
    warmup, total = config.warmup_epochs * steps_per_epoch, max(1, config.epochs * steps_per_epoch)
    factor = min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / total))
    rates = {
        "trunk": 0.0 if step < warmup and learner.candidate.init == "random" else config.trunk_learning_rate,
        "heads": learner.candidate.learning_rate,
        "proxies": config.proxy_learning_rate,
    }
    for group in learner.optimizer.param_groups:
        group["lr"] = rates[group["role"]] * factor

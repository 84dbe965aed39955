"""Selection: what a training leaves open is chosen on classes that it has not seen.

    candidates (init, learning rate, attention)   compared on the first fold
    weights of the heads in the merged vector     chosen on all folds, after the init
    number of epochs                              chosen on all folds, with the candidate that was chosen

A training with what was chosen then reads all classes: `model.training.train`. One setting replaces another only if it is
better by more than one standard error of their paired difference over classes (the one-standard-error rule: Breiman et al.,
Classification and Regression Trees, 1984, section 3.4.3), so of settings that the classes cannot tell apart the simpler is
taken. The criterion is MAP@R; where the init reaches `SATURATED_MAP_AT_R` it is the margin.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from model.errors import Diverged, Terminated
from model.networks.attention import IDENTITY_AT_INIT
from model.schemas.train_report import SATURATED_MAP_AT_R
from model.training.checkpoint import Checkpoint, Counters
from model.training.epochs import RESUMES, train_epoch
from model.training.folds import Fold
from model.training.initialisation import Inits, finish_init, init_heads, project_once
from model.training.learner import Candidate, Learner, TrainingData, make_learner
from model.training.validation import (
    Figures,
    Validation,
    embed_rows,
    mean,
    query_counts,
    search,
    validate,
    validate_untrained,
)

MERGE_WEIGHTS = (1.0, 0.7, 1.4, 0.5, 2.0, 0.35, 2.8, 0.25, 4.0, 5.6)
"""Candidates for the weight of a tuned head in the merged vector, the simplest first."""
_ROUNDS = 2
"""How often each tuned head's weight is chosen, with the other weights as they were chosen last."""

Say = Callable[[str], None]
"""Function that is called with each sentence about the training's progress."""


@dataclass(frozen=True)
class Workshop:
    """What all trainings of one selection share.

    Attributes:
        data: Data, settings and method.
        fabric: Devices and processes.
        folder: Folder of checkpoints.
        key: Hash of data and settings, which names the checkpoints that are resumed.
        say: Receives sentences about the progress.
        stopping: Tells whether the training must end after the step at hand.
        inits: Inits of heads that were computed already: see `model.training.initialisation.init_heads`.
    """

    data: TrainingData
    fabric: Fabric
    folder: Path
    key: str
    say: Say
    stopping: Callable[[], bool]
    inits: Inits = field(default_factory=dict)

    def checkpoint(self, learner: Learner, *names: str) -> Checkpoint:
        """A checkpoint of a learner."""
        return Checkpoint(learner, self.folder.joinpath(*names).with_suffix(".safetensors"), self.key)


class Trial(NamedTuple):
    """One candidate, trained on some folds in step.

    Attributes:
        candidate: The settings.
        learners: One training for each fold.
        counters: Their figures.
    """

    candidate: Candidate
    learners: list[Learner]
    counters: list[Counters]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C,): queries of each held-out class, over all folds."""
        return np.concatenate([query_counts(learner) for learner in self.learners])

    def figures(self, name: str) -> NDArray[np.float64]:
        """(epochs + 1, C): a figure of each held-out class, over all folds, for the init and each finished epoch."""
        return np.concatenate([np.array(getattr(one, name)) for one in self.counters], axis=1)

    @property
    def criterion(self) -> str:
        """The figure that is compared: `map_at_r`, or `margin` where MAP@R is saturated."""
        return "margin" if mean(self.figures("map_at_r")[0], self.counts) >= SATURATED_MAP_AT_R else "map_at_r"

    @property
    def kept(self) -> int:
        """The epoch that is kept: each is better than the one kept before by more than a standard error."""
        figures, counts, kept = self.figures(self.criterion), self.counts, 0
        for epoch in range(1, len(figures)):
            if clearly_better(figures[epoch], figures[kept], counts):
                kept = epoch
        return kept

    def beats(self, other: "Trial") -> bool:
        """Whether the kept epoch is clearly better than that of another trial on the same folds, by that one's criterion."""
        one, two = (trial.figures(other.criterion)[trial.kept] for trial in (self, other))
        return clearly_better(one, two, self.counts)


@dataclass(frozen=True)
class Choice:
    """What selection chose: another training with the same choice needs no selection.

    Attributes:
        candidate: Init, learning rate, attention.
        epochs: Number of epochs.
        weights: Weight of each head in the merged vector, by the head's name.
    """

    candidate: Candidate
    epochs: int
    weights: dict[str, float]


def clearly_better(one: Figures, other: Figures, counts: NDArray[np.int64]) -> bool:
    """Whether the mean over queries is better by more than one standard error of the paired difference over classes.

    Args:
        one: (C,) figures of one setting, by class.
        other: (C,) figures of the other setting.
        counts: (C,) queries of each class.
    """
    weights, difference = counts / counts.sum(), one - other
    gain = float(weights @ difference)
    if len(counts) == 1:
        return gain > 0
    error = np.sqrt(len(counts) / (len(counts) - 1) * float(weights**2 @ (difference - gain) ** 2))
    return bool(gain > max(error, 1e-9))


def candidates(data: TrainingData) -> list[Candidate]:
    """The candidates of a training, the simplest first.

    Without attention first, where the blocks are the identity before training: on a frozen trunk only the residuals of the
    projections are then trained, which takes seconds. With a trunk that is trained, attention is trained as well.
    """
    config, architecture = data.config, data.method.architecture
    inits = data.method.inits if config.init == "method" else (config.init,)
    optional = architecture.attentive and all(head.attention in IDENTITY_AT_INIT for head in architecture.heads.values())
    named = data.method.keeps_attention or {data.model.global_attention, data.model.local_attention} != {"method"}
    optional = optional and config.trunk == "frozen" and not named
    found = []
    for init in inits:
        attention = architecture.attentive and not (optional and init == "whitened")
        found += [Candidate(init, rate, attention) for rate in config.compared_rates]
    if optional and "whitened" in inits:
        found.append(Candidate("whitened", config.compared_rates[0], True))
    return found if config.epochs else found[:1]


def select(shop: Workshop, folds: Sequence[Fold]) -> tuple[Choice, Trial]:
    """Choose candidate, weights and epochs on the held-out classes of the folds.

    Returns:
        The choice, and the trial of its candidate on all folds, whose learners hold the epoch that was chosen.

    Raises:
        Diverged: The candidate that was chosen diverges.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    chosen = _race(shop, candidates(shop.data), folds[:1])
    trial = _run(shop, chosen, folds, "folds")
    for number, learner in enumerate(trial.learners):
        shop.checkpoint(learner, _folder("folds", chosen), f"best{number}").load()
    return Choice(chosen, trial.kept, trial.learners[0].network.heads.named_weights), trial


def _race(shop: Workshop, tried: Sequence[Candidate], first_fold: Sequence[Fold]) -> Candidate:
    """The best candidate on the first fold. One that diverges is left out, unless it is the only one."""
    best: Trial | None = None
    for candidate in tried if len(tried) > 1 else ():
        try:
            trial = _run(shop, candidate, first_fold, "race")
        except Diverged as error:
            shop.say(f"{candidate}: {error.headline}")
            continue
        if best is None or trial.beats(best):
            best = trial
    if best is None:
        return tried[0]
    shop.say(f"chosen on the first fold: {best.candidate}")
    return best.candidate


def _folder(stage: str, candidate: Candidate) -> str:
    return f"{stage}-{candidate.init}-{candidate.learning_rate:g}-{'attention' if candidate.attention else 'plain'}"


def _run(shop: Workshop, candidate: Candidate, folds: Sequence[Fold], stage: str) -> Trial:
    """Train a candidate on folds in step, an epoch at a time, until the last epoch or until patience runs out."""
    folder, config = _folder(stage, candidate), shop.data.config
    trial = _begin(shop, candidate, folds, folder)
    while True:
        epoch = min(one.epoch for one in trial.counters)
        if epoch == max(one.epoch for one in trial.counters):
            kept = trial.kept
            if kept == epoch and not any(one.step for one in trial.counters):  # resumed in mid-epoch, it was saved before
                for number, (learner, counters) in enumerate(zip(trial.learners, trial.counters, strict=True)):
                    shop.checkpoint(learner, folder, f"best{number}").save(counters)
            _say_epoch(shop, trial, epoch)
            if epoch >= config.epochs or epoch - kept >= config.patience:
                return trial
        for number, learner in enumerate(trial.learners):
            if trial.counters[number].epoch == epoch:
                trial.counters[number] = _epoch(
                    shop, learner, trial.counters[number], shop.checkpoint(learner, folder, f"last{number}")
                )


def _epoch(shop: Workshop, learner: Learner, counters: Counters, last: Checkpoint) -> Counters:
    """Train one epoch and validate it."""
    began = time.monotonic()
    loss = train_epoch(learner, counters, last.save, shop.stopping)
    seen = validate(learner)
    counters = _with(
        replace(
            counters,
            epoch=counters.epoch + 1,
            step=0,
            loss=0.0,
            losses=(*counters.losses, loss),
            seconds=(*counters.seconds, round(time.monotonic() - began, 3)),
        ),
        seen,
    )
    last.save(counters)
    if shop.stopping():
        raise Terminated(f"Stopped after epoch {counters.epoch}.", RESUMES)
    return counters


def _with(counters: Counters, seen: Validation) -> Counters:
    figures = {name: tuple(seen.by_class(getattr(seen, name)).tolist()) for name in ("map_at_r", "margin")}
    return replace(counters, map_at_r=(*counters.map_at_r, figures["map_at_r"]), margin=(*counters.margin, figures["margin"]))


def _begin(shop: Workshop, candidate: Candidate, folds: Sequence[Fold], folder: str) -> Trial:
    """The learners of a trial, from their last checkpoints or from the init."""
    learners = [make_learner(shop.data, fold, candidate, shop.fabric) for fold in folds]
    loaded = [shop.checkpoint(learner, folder, f"last{number}").load() for number, learner in enumerate(learners)]
    counters = [one for one in loaded if one is not None]
    if len(counters) < len(learners):
        return Trial(candidate, learners, _init(shop, learners, folder))
    for learner in learners:
        project_once(learner)
    return Trial(candidate, learners, counters)


def _init(shop: Workshop, learners: Sequence[Learner], folder: str) -> list[Counters]:
    """Initialise the heads of all folds, choose their weights, and store the figures of the init."""
    untrained = []
    for learner in learners:
        init_heads(learner, shop.inits)
        untrained.append(validate_untrained(learner))  # of the maps, which `project_once` replaces
        project_once(learner)
    weights = choose_weights(learners, shop.data.method.tuned_heads)
    counters = []
    for number, (learner, trunk) in enumerate(zip(learners, untrained, strict=True)):
        finish_init(learner, weights)
        one = _with(Counters(untrained=tuple(trunk.by_class(trunk.map_at_r).tolist())), validate(learner))
        last = shop.checkpoint(learner, folder, f"last{number}")
        last.save(one)
        last.load()  # all processes start from exactly the same values, also on different machines
        counters.append(one)
    return counters


@torch.no_grad()
def choose_weights(learners: Sequence[Learner], tuned_heads: Sequence[str]) -> dict[str, float]:
    """The weight of each head in the merged vector, by name. After a whitened init, those of the tuned heads are chosen."""
    weights = learners[0].network.heads.named_weights
    if learners[0].candidate.init != "whitened" or not tuned_heads:
        return weights
    vectors = [embed_rows(learner, learner.network, learner.fold.held_out).heads for learner in learners]
    counts = np.concatenate([query_counts(learner) for learner in learners])

    def figures(weights: dict[str, float], name: str) -> Figures:
        found = []
        for learner, own in zip(learners, vectors, strict=True):
            seen = search(learner, _merged(own, weights))
            found.append(seen.by_class(getattr(seen, name)))
        return np.concatenate(found)

    criterion = "margin" if mean(figures(weights, "map_at_r"), counts) >= SATURATED_MAP_AT_R else "map_at_r"
    for _ in range(_ROUNDS):
        for name in tuned_heads:
            options = {weight: figures(weights | {name: weight}, criterion) for weight in MERGE_WEIGHTS}
            best = max(options.values(), key=lambda values: mean(values, counts))
            weights[name] = next(weight for weight, values in options.items() if not clearly_better(best, values, counts))
    return weights


def _merged(vectors: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    parts = [weights[name] * vector for name, vector in vectors.items()]
    return torch.nn.functional.normalize(torch.cat(parts, dim=1), dim=1)


def _say_epoch(shop: Workshop, trial: Trial, epoch: int) -> None:
    figure = mean(trial.figures("map_at_r")[epoch], trial.counts)
    where = "the first fold" if len(trial.learners) == 1 else f"{len(trial.learners)} folds"
    if epoch == 0:
        untrained = mean(np.concatenate([np.array(one.untrained) for one in trial.counters]), trial.counts)
        shop.say(f"{trial.candidate}, {where}: held-out MAP@R {figure:.4f}, untrained trunk {untrained:.4f}")
    else:
        loss = np.mean([one.losses[epoch - 1] for one in trial.counters])
        shop.say(f"epoch {epoch} of {shop.data.config.epochs}: loss {loss:.3f}, held-out MAP@R {figure:.4f}")

"""Trials: one candidate, trained on one or several folds in step, with a checkpoint after every epoch."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import Terminated
from model.training.candidates import Candidate
from model.training.checkpoint import Checkpoint, Counters
from model.training.comparison import Criterion, clearly_better, compared_figure
from model.training.epochs import RESUMES, train_epoch
from model.training.folds import Fold
from model.training.initialisation import finish_init, init_heads, project_once
from model.training.learner import Learner, make_learner
from model.training.merge_weights import choose_weights
from model.training.session import Session
from model.training.validation import Validation, mean, query_counts, validate, validate_untrained


class FoldTrial(NamedTuple):
    """One candidate, trained on some folds in step.

    Attributes:
        candidate: The settings.
        learners: One training for each fold.
        counters: Their figures.
        folder: Folder of their checkpoints: `last<fold>` after the last step on record, `best<fold>` of the kept epoch.
    """

    candidate: Candidate
    learners: list[Learner]
    counters: list[Counters]
    folder: str

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C,): queries of each held-out class, over all folds."""
        return np.concatenate([query_counts(learner) for learner in self.learners])

    def figures(self, name: Criterion) -> NDArray[np.float64]:
        """(epochs + 1, C): a figure of each held-out class, over all folds, for the init and each finished epoch."""
        return np.concatenate([np.array(getattr(one, name)) for one in self.counters], axis=1)

    @property
    def criterion(self) -> Criterion:
        """The figure that is compared."""
        return compared_figure(self.figures("map_at_r")[0], self.counts)

    @property
    def kept(self) -> int:
        """The epoch that is kept: each is better than the one kept before by more than a standard error."""
        figures, counts, kept = self.figures(self.criterion), self.counts, 0
        for epoch in range(1, len(figures)):
            if clearly_better(figures[epoch], figures[kept], counts):
                kept = epoch
        return kept

    def kept_mean(self, criterion: Criterion) -> float:
        """The mean over queries of a figure of the kept epoch."""
        return mean(self.figures(criterion)[self.kept], self.counts)

    def beats(self, other: "FoldTrial", criterion: Criterion) -> bool:
        """Whether the kept epoch is clearly better than that of another trial on the same folds."""
        one, two = (trial.figures(criterion)[trial.kept] for trial in (self, other))
        return clearly_better(one, two, self.counts)

    def load_kept(self, session: Session) -> None:
        """Restore every learner to the kept epoch."""
        for number, learner in enumerate(self.learners):
            session.checkpoint(learner, self.folder, f"best{number}").load()


def run_trial(session: Session, candidate: Candidate, folds: Sequence[Fold], stage: str, epochs: int) -> FoldTrial:
    """Train a candidate on folds in step, an epoch at a time, until an epoch is reached or patience runs out.

    A trial that was run before, of the same stage and to an earlier epoch, goes on from there.

    Args:
        session: What all trials share.
        candidate: The settings.
        folds: The folds.
        stage: Name of the stage of the selection, for the checkpoints' folder.
        epochs: Epoch at which the trial ends; the learning rates fall to 0 at `train.epochs` all the same.
    """
    folder, patience = f"{stage}-{candidate.slug}", session.data.config.patience
    trial = _begin(session, candidate, folds, folder)
    begun = min(one.epoch for one in trial.counters)
    while True:
        epoch = min(one.epoch for one in trial.counters)
        if epoch == max(one.epoch for one in trial.counters):
            kept = trial.kept
            if kept == epoch and not any(one.step for one in trial.counters):  # resumed in mid-epoch, it was saved before
                for number, (learner, counters) in enumerate(zip(trial.learners, trial.counters, strict=True)):
                    session.checkpoint(learner, folder, f"best{number}").save(counters)
            if epoch > begun or epoch == 0:  # a resumed training said the others before
                _say_epoch(session, trial, epoch)
            if epoch >= epochs or epoch - kept >= patience:
                return trial
        for number, learner in enumerate(trial.learners):
            if trial.counters[number].epoch == epoch:
                trial.counters[number] = _epoch(
                    session, learner, trial.counters[number], session.checkpoint(learner, folder, f"last{number}")
                )


def _epoch(session: Session, learner: Learner, counters: Counters, last: Checkpoint) -> Counters:
    """Train one epoch and validate it."""
    began = time.monotonic()
    loss = train_epoch(learner, counters, last.save, session.stopping)
    seen = validate(learner)
    counters = _with(counters.finished(loss, time.monotonic() - began), seen)
    last.save(counters)
    if session.stopping():
        raise Terminated(f"Stopped after epoch {counters.epoch}.", RESUMES)
    return counters


def _with(counters: Counters, seen: Validation) -> Counters:
    figures = {name: tuple(seen.by_class(getattr(seen, name)).tolist()) for name in ("map_at_r", "margin")}
    return replace(counters, map_at_r=(*counters.map_at_r, figures["map_at_r"]), margin=(*counters.margin, figures["margin"]))


def _begin(session: Session, candidate: Candidate, folds: Sequence[Fold], folder: str) -> FoldTrial:
    """The learners of a trial, from their last checkpoints or from the init."""
    learners = [make_learner(session.data, fold, candidate, session.fabric) for fold in folds]
    loaded = [session.checkpoint(learner, folder, f"last{number}").load() for number, learner in enumerate(learners)]
    counters = [one for one in loaded if one is not None]
    kept = [session.checkpoint(learner, folder, f"best{number}").path.is_file() for number, learner in enumerate(learners)]
    # Killed in the init, which reads all learners as they are made. Or a file was deleted: without the kept epoch, another would
    # be taken for it.
    if len(counters) < len(learners) or not all(kept):
        learners = [make_learner(session.data, fold, candidate, session.fabric) for fold in folds]
        return FoldTrial(candidate, learners, _init(session, learners, folder), folder)
    for learner in learners:
        project_once(learner)
    return FoldTrial(candidate, learners, counters, folder)


def _init(session: Session, learners: Sequence[Learner], folder: str) -> list[Counters]:
    """Initialise the heads of all folds, choose their weights, and store the figures of the init."""
    untrained = []
    for number, learner in enumerate(learners, start=1):
        if len(learners) > 1:
            session.say(f"{learner.candidate}: init on fold {number} of {len(learners)}")
        init_heads(learner, session.inits)
        untrained.append(validate_untrained(learner))  # of the maps, which `project_once` replaces
        project_once(learner)
    weights = choose_weights(learners, session.data.method.tuned_heads)
    counters = []
    for number, (learner, trunk) in enumerate(zip(learners, untrained, strict=True)):
        finish_init(learner, weights)
        one = _with(Counters(untrained=tuple(trunk.by_class(trunk.map_at_r).tolist())), validate(learner))
        session.checkpoint(learner, folder, f"last{number}").share(one)
        counters.append(one)
    return counters


def _say_epoch(session: Session, trial: FoldTrial, epoch: int) -> None:
    figure = mean(trial.figures("map_at_r")[epoch], trial.counts)
    where = "the first fold" if len(trial.learners) == 1 else f"{len(trial.learners)} folds"
    if epoch == 0:
        untrained = mean(np.concatenate([np.array(one.untrained) for one in trial.counters]), trial.counts)
        session.say(f"{trial.candidate}, {where}: held-out MAP@R {figure:.4f}, untrained trunk {untrained:.4f}")
    else:
        loss = np.mean([one.losses[epoch - 1] for one in trial.counters])
        said = f"epoch {epoch} of {session.data.config.epochs}: loss {loss:.3f}, held-out MAP@R {figure:.4f}"
        session.say(f"{said} ({trial.candidate}, {where})")

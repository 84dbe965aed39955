"""Selection: what a training leaves open is chosen on classes that it has not seen.

    candidates (init, learning rate, whole heads)   a short race on the first fold leaves two at most, which all folds compare
    weights of the heads in the merged vector       chosen on all folds, after the init
    number of epochs                                chosen on all folds

A training with what was chosen then reads all classes: `model.training.train`. One setting replaces another only if it is
clearly better (`model.training.comparison`), so of settings that the classes cannot tell apart the simpler is taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from model.errors import Diverged
from model.text import counted
from model.training.candidates import Candidate, candidates
from model.training.fold_trials import FoldTrial, run_trial
from model.training.folds import Fold
from model.training.session import Session

RACE = 1 / 3
"""Share of the epochs after which the race ends. The best of it get the whole budget (successive halving: Jamieson and Talwalkar,
Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016)."""


@dataclass(frozen=True)
class Choice:
    """What selection chose: another training with the same choice needs no selection.

    Attributes:
        candidate: Init, learning rate, and what of the heads is trained.
        epochs: Number of epochs.
        weights: Weight of each head in the merged vector, by the head's name.
    """

    candidate: Candidate
    epochs: int
    weights: dict[str, float]


def select(session: Session, folds: Sequence[Fold]) -> tuple[Choice, FoldTrial]:
    """Choose candidate, weights and epochs on the held-out classes of the folds.

    Returns:
        The choice, and the trial of its candidate on all folds, whose learners hold the epoch that was chosen.

    Raises:
        Diverged: All candidates diverge.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    tried, epochs = candidates(session.data), session.data.config.epochs
    if len(tried) > 1:
        stage = "race" if len(folds) > 1 else "folds"  # on a single fold the finalists go on where the race ends
        raced = _run_all(session, tried, folds[:1], stage, math.ceil(RACE * epochs))
        tried = [trial.candidate for trial in _finalists(raced)]
        session.say(f"after the race: {', or '.join(map(str, tried))}")
    trial = _best(_run_all(session, tried, folds, "folds", epochs))
    if len(tried) > 1:
        session.say(f"chosen on {counted(len(folds), 'fold')}: {trial.candidate}")
    trial.load_kept(session)
    return Choice(trial.candidate, trial.kept, trial.learners[0].network.heads.named_weights), trial


def _run_all(session: Session, tried: Sequence[Candidate], folds: Sequence[Fold], stage: str, epochs: int) -> list[FoldTrial]:
    """The trials of all candidates, the simplest first. One that diverges is left out, unless all do."""
    trials: list[FoldTrial] = []
    diverged = None
    for candidate in tried:
        try:
            trials.append(run_trial(session, candidate, folds, stage, epochs))
        except Diverged as error:
            session.say(f"{candidate}: {error.headline}")
            diverged = error
    if diverged and not trials:
        raise diverged
    return trials


def _finalists(trials: Sequence[FoldTrial]) -> list[FoldTrial]:
    """The trial with the best mean, and before it the simplest of those that it does not clearly beat."""
    criterion = trials[0].criterion
    best = max(trials, key=lambda trial: trial.kept_mean(criterion))
    simplest = next(trial for trial in trials if not best.beats(trial, criterion))
    return [simplest] if simplest is best else [simplest, best]


def _best(trials: Sequence[FoldTrial]) -> FoldTrial:
    """The simplest trial that no other clearly beats."""
    criterion = trials[0].criterion
    return next(trial for trial in trials if not any(other.beats(trial, criterion) for other in trials))

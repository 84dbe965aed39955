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
from model.networks.attention import IDENTITY_AT_INIT
from model.text import counted
from model.training.fold_trials import Session, Trial, run_trial
from model.training.folds import Fold
from model.training.learner import Candidate, TrainingData

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


def candidates(data: TrainingData) -> list[Candidate]:
    """The candidates of a training, the simplest first.

    After a whitened init on a frozen trunk, training the residuals of the projections alone takes seconds; it comes first, and
    whole heads are one candidate more. They are the only choice after a random init, with a trunk that is trained, with an
    autoencoder, with blocks that are not the identity before training, and where attention was asked for by name.
    """
    config, method = data.config, data.method
    architecture, named = method.architecture, {data.model.global_attention, data.model.local_attention} != {"method"}
    residuals = (
        config.trunk != "finetune"
        and all(head.attention in IDENTITY_AT_INIT for head in architecture.heads.values())
        and not (architecture.autoencoder or (architecture.attentive and (method.keeps_attention or named)))
    )
    deeper = architecture.attentive or any(head.channels for head in architecture.heads.values())
    found = []
    for init in method.inits if config.init == "method" else (config.init,):
        alone = residuals and init == "whitened"
        found += [Candidate(init, rate, whole_heads=not alone) for rate in config.compared_rates]
        if alone and deeper:
            found.append(Candidate(init, config.compared_rates[0], whole_heads=True))
    return found if config.epochs else found[:1]


def select(session: Session, folds: Sequence[Fold]) -> tuple[Choice, Trial]:
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


def _run_all(session: Session, tried: Sequence[Candidate], folds: Sequence[Fold], stage: str, epochs: int) -> list[Trial]:
    """The trials of all candidates, the simplest first. One that diverges is left out, unless all do."""
    trials: list[Trial] = []
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


def _finalists(trials: Sequence[Trial]) -> list[Trial]:
    """The trial with the best mean, and before it the simplest of those that it does not clearly beat."""
    criterion = trials[0].criterion
    best = max(trials, key=lambda trial: trial.kept_mean(criterion))
    simplest = next(trial for trial in trials if not best.beats(trial, criterion))
    return [simplest] if simplest is best else [simplest, best]


def _best(trials: Sequence[Trial]) -> Trial:
    """The simplest trial that no other clearly beats."""
    criterion = trials[0].criterion
    return next(trial for trial in trials if not any(other.beats(trial, criterion) for other in trials))

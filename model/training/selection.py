"""Selection: what a training leaves open is chosen on classes that it has not seen.

    candidates (init, learning rate, whole heads)   compared on the first fold
    weights of the heads in the merged vector       chosen on all folds, after the init
    number of epochs                                chosen on all folds, with the candidate that was chosen

A training with what was chosen then reads all classes: `model.training.train`. One setting replaces another only if it is
clearly better (`model.training.comparison`), so of settings that the classes cannot tell apart the simpler is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.errors import Diverged
from model.networks.attention import IDENTITY_AT_INIT
from model.training.fold_trials import Session, Trial, run_trial
from model.training.folds import Fold
from model.training.learner import Candidate, TrainingData


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
        config.trunk == "frozen"
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
        Diverged: The candidate that was chosen diverges.
        Terminated: SIGTERM arrived; the same call resumes.
    """
    chosen = _race(session, candidates(session.data), folds[:1])
    trial = run_trial(session, chosen, folds, "folds")
    trial.load_kept(session, "folds")
    return Choice(chosen, trial.kept, trial.learners[0].network.heads.named_weights), trial


def _race(session: Session, tried: Sequence[Candidate], first_fold: Sequence[Fold]) -> Candidate:
    """The best candidate on the first fold. One that diverges is left out; if all do, the first is taken."""
    if len(tried) == 1:
        return tried[0]
    best: Trial | None = None
    for candidate in tried:
        try:
            trial = run_trial(session, candidate, first_fold, "race")
        except Diverged as error:
            session.say(f"{candidate}: {error.headline}")
            continue
        if best is None or trial.beats(best):
            best = trial
    if best is None:
        return tried[0]
    session.say(f"chosen on the first fold: {best.candidate}")
    return best.candidate

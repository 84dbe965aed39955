"""The report of a training, from its selection and its last epochs."""

import numpy as np

from model.evaluation.bootstrap import bootstrap_interval
from model.schemas.reranking import Reranking
from model.schemas.train_report import Epoch, TrainReport, TrunkSetting
from model.training.checkpoint import Counters
from model.training.fold_trials import FoldTrial
from model.training.learner import Learner
from model.training.machine import machine_of
from model.training.validation import mean


def report_of(
    learner: Learner, trial: FoldTrial | None, counters: Counters, *, trunk_asked: TrunkSetting, reranking: Reranking | None
) -> TrainReport:
    """The report of a training.

    Args:
        learner: The training whose network is kept.
        trial: What was chosen, on all folds; None if no classes were held out.
        counters: Progress of the training whose network is kept.
        trunk_asked: `train.trunk` as it was set.
        reranking: Choice of re-ranking; None if it was not looked at.
    """
    config, candidate = learner.config, learner.candidate
    chosen = {
        "machine": machine_of(learner.fabric.device),
        "trunk": config.trunk,
        "trunk_asked": trunk_asked,
        "init": candidate.init,
        "learning_rate": candidate.learning_rate,
        "whole_heads": candidate.whole_heads,
        "merge_weights": learner.network.heads.named_weights,
        "epochs_planned": config.epochs,
    }
    if trial is None:
        losses = zip(counters.losses, counters.seconds, strict=True)
        epochs = [Epoch(epoch=n, loss=loss, map_at_r=0.0, seconds=s) for n, (loss, s) in enumerate(losses, start=1)]
        history = (Epoch(epoch=0, map_at_r=0.0), *epochs)
        return TrainReport(
            **chosen,
            best_epoch=counters.epoch,
            untrained_map_at_r=0.0,
            validation_classes=0,
            validation_images=0,
            history=history,
        )
    return TrainReport(
        **chosen,
        folds=len(trial.learners),
        criterion=trial.criterion,
        best_epoch=trial.kept,
        untrained_map_at_r=mean(np.concatenate([np.array(one.untrained) for one in trial.counters]), trial.counts),
        gain_interval=_gain_interval(trial),
        validation_classes=len(trial.counts),
        validation_images=int(trial.counts.sum()),
        reranking=reranking,
        history=_history(trial),
    )


def _history(trial: FoldTrial) -> tuple[Epoch, ...]:
    """The epochs of the chosen candidate: means over all held-out images, and over the folds' losses."""
    figures = {name: [mean(row, trial.counts) for row in trial.figures(name)] for name in ("map_at_r", "margin")}
    losses = [None, *np.mean([one.losses for one in trial.counters], axis=0).tolist()]
    seconds = [0.0, *np.sum([one.seconds for one in trial.counters], axis=0).tolist()]
    return tuple(
        Epoch(epoch=number, loss=losses[number], map_at_r=figures["map_at_r"][number], margin=margin, seconds=seconds[number])
        for number, margin in enumerate(figures["margin"])
    )


def _gain_interval(trial: FoldTrial) -> tuple[float, float]:
    """The interval of the gain in MAP@R of the epochs over the init; whole classes are drawn."""
    figures = trial.figures("map_at_r")
    per_query = np.repeat(figures[trial.kept] - figures[0], trial.counts)
    return bootstrap_interval(per_query, np.repeat(np.arange(len(trial.counts)), trial.counts))

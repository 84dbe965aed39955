"""Tuning: every method gets the same number of trials, compared by MAP@R on the validation classes alone."""

from collections.abc import Callable
from typing import Any

from benchmarks.trials import Bench, Recipe, Trial, drop_networks
from model.networks.methods import ABLATIONS

GRID = (Recipe("whitened", 1e-4), Recipe("whitened", 3e-4), Recipe("random", 3e-4), Recipe("random", 1e-3))
"""Recipes that are tried for every method with a frozen trunk."""
OWN_GRIDS = {
    "multi_head": tuple(Recipe("whitened", rate) for rate in (3e-5, 1e-4, 3e-4, 1e-3)),
    "multi_head_paper": tuple(Recipe("random", rate, proxies) for rate in (3e-4, 1e-3) for proxies in (1e-2, 3e-2)),
}
"""Equally many recipes for the two methods whose init is a part of the method and therefore fixed."""
FINETUNED, FINETUNED_RANDOM = Recipe("whitened", 1e-4), Recipe("random", 1e-3)
"""Recipe of all methods with a finetuned trunk, which would be slow to tune; the second one for methods with a random init."""
TUNED = "multi_head"
"""The method whose trials choose the recipe of its ablations."""
RANDOM = "init_random"

Run = Callable[[Bench, Trial], dict[str, Any]]
"""Trains a trial and reports its progress."""


def grid(method: str, mode: str) -> tuple[Recipe, ...]:
    """The recipes that are tried for a method; an ablation takes the best of those of `multi_head`."""
    if mode == "finetune":
        return (FINETUNED_RANDOM if method in {"multi_head_paper", RANDOM} else FINETUNED,)
    if method == RANDOM:
        return tuple(recipe for recipe in GRID if recipe.init == "random")
    return OWN_GRIDS.get(TUNED if method in ABLATIONS else method, GRID)


def tuning_trials(method: str, mode: str) -> list[Trial]:
    """The trials, all of seed 0, that choose a method's recipe. Ablations share the trials of the method that they change."""
    name = TUNED if method in ABLATIONS and method != RANDOM else method
    return [Trial(name, recipe, 0) for recipe in grid(method, mode)]


def choose(bench: Bench, method: str, run: Run) -> tuple[Recipe | None, dict[str, float | None]]:
    """Choose the recipe with the best validation MAP@R; of equally good ones the first.

    Returns:
        The recipe, None where every trial diverged; and each trial's validation MAP@R, None where the trial diverged.
    """
    trials = tuning_trials(method, bench.train.trunk)
    if len(trials) == 1:
        return trials[0].recipe, {}
    figures = {trial: run(bench, trial).get("validation_map_at_r") for trial in trials}
    finished = {trial: figure for trial, figure in figures.items() if figure is not None}
    best = max(finished, key=lambda trial: finished[trial], default=None)
    drop_networks(bench, [trial for trial in trials if trial != best])
    return best.recipe if best else None, {str(trial.recipe): figure for trial, figure in figures.items()}

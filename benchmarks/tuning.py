"""Tuning: every method gets as many trials as any other, judged by MAP@R on the validation classes alone."""

from collections.abc import Callable
from typing import Any

from benchmarks.cells import Bench, Cell, Recipe, drop_networks
from model.networks.methods import ABLATIONS

GRID = (Recipe("whitened", 1e-4), Recipe("whitened", 3e-4), Recipe("random", 3e-4), Recipe("random", 1e-3))
"""What every method is tried with, its trunk frozen."""
OWN_GRIDS = {
    "multi_head": tuple(Recipe("whitened", rate) for rate in (3e-5, 1e-4, 3e-4, 1e-3)),
    "multi_head_paper": tuple(Recipe("random", rate, proxies) for rate in (3e-4, 1e-3) for proxies in (1e-2, 3e-2)),
}
"""As many trials for the two that differ by their start: it is a part of what they are, and not theirs to choose."""
FINETUNED, FINETUNED_RANDOM = Recipe("whitened", 1e-4), Recipe("random", 1e-3)
"""One recipe for all where the trunk learns as well, for the cost of it; the second for what starts at random by its name."""
TUNED = "multi_head"
"""Whose trials choose for the ablations, which change one thing in it each."""
RANDOM = "start_random"

Run = Callable[[Bench, Cell], dict[str, Any]]
"""Trains a cell: `train_cell`, with whatever tells of it."""


def grid(method: str, regime: str) -> tuple[Recipe, ...]:
    """The recipes a method is tried with; of an ablation, which is not tuned, those it chooses from."""
    if regime == "finetune":
        return (FINETUNED_RANDOM if method in {"multi_head_paper", RANDOM} else FINETUNED,)
    if method == RANDOM:
        return tuple(recipe for recipe in GRID if recipe.start == "random")
    return OWN_GRIDS.get(TUNED if method in ABLATIONS else method, GRID)


def trials(method: str, regime: str) -> list[Cell]:
    """The cells a method's recipe is chosen by, all of seed 0. Ablations share those of the method that they change."""
    name = TUNED if method in ABLATIONS and method != RANDOM else method
    return [Cell(name, recipe, 0) for recipe in grid(method, regime)]


def choose(bench: Bench, method: str, run: Run) -> tuple[Recipe | None, dict[str, float | None]]:
    """The recipe that finds the validation classes best; of equals the first.

    Returns:
        The recipe, None where every trial diverged; and each trial's MAP@R on the validation classes, None where it diverged.
    """
    cells = trials(method, bench.train.trunk)
    if len(cells) == 1:
        return cells[0].recipe, {}
    figures = {cell: run(bench, cell).get("validation_map_at_r") for cell in cells}
    finished = {cell: figure for cell, figure in figures.items() if figure is not None}
    best = max(finished, key=lambda cell: finished[cell], default=None)
    drop_networks(bench, [cell for cell in cells if cell != best])
    return best.recipe if best else None, {str(cell.recipe): figure for cell, figure in figures.items()}

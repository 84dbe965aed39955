"""Equal effort for all methods, compared on the validation classes alone."""

import pytest

from benchmarks import evaluation, trials
from benchmarks.trials import Bench, Recipe, train_trial
from benchmarks.tuning import GRID, choose, grid, tuning_trials
from model.config import ModelConfig, TrainConfig
from model.networks.methods import ABLATIONS, METHODS
from tests.support.datasets import make_dataset

MODEL = ModelConfig(trunk="test_efficientnet", weights="none", image_size=32)


@pytest.fixture
def bench(tmp_path):
    training = TrainConfig(epochs=1, device="cpu")
    return Bench("drawn", make_dataset(tmp_path / "data"), "a" * 32, MODEL, training, tmp_path / "work", tmp_path / "out")


def test_every_method_is_tried_as_often():
    assert {len(set(tuning_trials(name, "frozen"))) for name in METHODS} == {len(GRID)}
    assert {len(tuning_trials(name, "finetune")) for name in METHODS} == {1}


def test_the_papers_recipe_starts_at_random_as_it_is_printed():
    assert {recipe.init for recipe in grid("multi_head_paper", "frozen")} == {"random"}


def test_multi_head_keeps_the_start_that_is_a_part_of_it():
    assert {recipe.init for recipe in grid("multi_head", "frozen")} == {"whitened"}


@pytest.mark.parametrize("name", sorted(ABLATIONS.keys() - {"init_random"}))
def test_an_ablation_costs_no_trial_of_its_own(name):
    assert set(tuning_trials(name, "frozen")) <= set(tuning_trials("multi_head", "frozen"))


def test_the_recipe_that_finds_the_validation_classes_best_is_chosen(bench):
    figures = dict(zip(GRID, (0.3, 0.5, 0.4, 0.1), strict=True))
    recipe, tried = choose(bench, "sona", lambda _, trial: {"validation_map_at_r": figures[trial.recipe]})
    assert recipe == GRID[1]
    assert list(tried.values()) == [0.3, 0.5, 0.4, 0.1]


def test_of_equally_good_recipes_the_first_is_chosen(bench):
    assert choose(bench, "sona", lambda *_: {"validation_map_at_r": 0.5})[0] == GRID[0]


def test_what_starts_at_random_gets_the_best_random_recipe(bench):
    figures = dict(zip(GRID, (0.9, 0.8, 0.2, 0.3), strict=True))
    assert choose(bench, "init_random", lambda _, trial: {"validation_map_at_r": figures[trial.recipe]})[0] == GRID[3]


def test_a_diverged_trial_is_not_chosen(bench):
    def run(_, trial):
        return {"error": "diverged"} if trial.recipe == GRID[0] else {"validation_map_at_r": 0.0}

    recipe, tried = choose(bench, "sona", run)
    assert recipe == GRID[1]
    assert tried[str(GRID[0])] is None


def test_where_every_trial_diverges_there_is_no_recipe(bench):
    assert choose(bench, "sona", lambda *_: {"error": "diverged"})[0] is None


def test_tuning_never_looks_at_the_test_classes(bench, tmp_path, monkeypatch):
    """With every test label changed and nothing else, the same recipe comes out with the same figures."""
    before = choose(bench, "proxy_anchor", train_trial)
    table = bench.dataset / "manifest.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line.replace("class 7", "class 6") if ",test," in line else line for line in lines) + "\n")
    other = Bench("drawn", bench.dataset, "b" * 32, MODEL, bench.train, tmp_path / "other", tmp_path / "other out")
    monkeypatch.setattr(evaluation, "evaluate_retrieval", lambda *_: pytest.fail("the test classes were searched"))
    assert choose(other, "proxy_anchor", train_trial) == before


def test_a_cell_is_named_by_all_that_its_figures_depend_on(bench):
    trial = tuning_trials("sona", "frozen")[0]
    others = [
        trials.Trial("abe", trial.recipe, 0),
        trials.Trial("sona", Recipe("random", 0.5), 0),
        trials.Trial("sona", trial.recipe, 1),
    ]
    changed = Bench(**{**vars(bench), "train": TrainConfig(epochs=2)})
    keys = {bench.key(trial), bench.key(None), changed.key(trial), *(bench.key(other) for other in others)}
    assert len(keys) == 6
    assert Bench(**{**vars(bench), "train": TrainConfig(epochs=1, device="cpu", workers=9)}).key(trial) == bench.key(trial)

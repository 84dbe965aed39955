"""Trials: the first seed selects, the others take what it chose, and none looks at the test classes."""

import pytest

from benchmarks import tested_trials, trials
from benchmarks.trials import Bench, Trial, choice_of, train_trial
from model.config import ModelConfig, TrainConfig
from tests.support.datasets import make_dataset

MODEL = ModelConfig(method="proxy_anchor", trunk="test_efficientnet", weights="none", image_size=32)
FIRST, SECOND = Trial("proxy_anchor", 0), Trial("proxy_anchor", 1)


@pytest.fixture
def bench(tmp_path):
    training = TrainConfig(epochs=1, device="cpu", workers=0)
    return Bench("drawn", make_dataset(tmp_path / "data"), "a" * 32, MODEL, training, tmp_path / "work", tmp_path / "out")


def test_the_other_seeds_take_what_the_first_one_chose(bench, monkeypatch):
    choices, real = [], trials.train
    monkeypatch.setattr(trials, "train", lambda *given, **named: choices.append(named["choice"]) or real(*given, **named))
    second = train_trial(bench, SECOND)
    assert choices == [None, choice_of(train_trial(bench, FIRST))]
    chosen = ("init", "learning_rate", "whole_heads", "merge_weights", "best_epoch")
    assert [second[name] for name in chosen] == [train_trial(bench, FIRST)[name] for name in chosen]


def test_where_the_first_seed_diverges_the_others_are_not_trained(bench, monkeypatch):
    seeds = []

    def train(dataset, model, config, **_):
        seeds.append(config.seed)
        raise trials.Diverged("The loss is no longer finite in epoch 1.")

    monkeypatch.setattr(trials, "train", train)
    assert "finite" in train_trial(bench, SECOND)["error"]
    assert seeds == [0]


def test_selection_never_looks_at_the_test_classes(bench, tmp_path, monkeypatch):
    """With every test label changed and nothing else, the same settings come out with the same figures."""
    before = train_trial(bench, FIRST)
    table = bench.dataset / "manifest.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line.replace("class 7", "class 6") if ",test," in line else line for line in lines) + "\n")
    other = Bench("drawn", bench.dataset, "b" * 32, MODEL, bench.train, tmp_path / "other", tmp_path / "other out")
    monkeypatch.setattr(tested_trials, "evaluate_retrieval", lambda *_: pytest.fail("the test classes were searched"))
    after = train_trial(other, FIRST)
    figures = ("merge_weights", "best_epoch", "learning_rate", "validation_map_at_r", "untrained_map_at_r")
    assert [after[name] for name in figures] == [before[name] for name in figures]


def test_a_cell_is_named_by_all_that_its_figures_depend_on(bench):
    changed = Bench(**{**vars(bench), "train": TrainConfig(epochs=2)})
    keys = {bench.key(FIRST), bench.key(None), changed.key(FIRST), bench.key(SECOND), bench.key(Trial("abe", 0))}
    assert len(keys) == 5
    assert Bench(**{**vars(bench), "train": TrainConfig(epochs=1, device="cpu", workers=9)}).key(FIRST) == bench.key(FIRST)

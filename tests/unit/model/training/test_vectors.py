"""A training on vectors that were projected once is the training on maps."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.config import ModelConfig
from model.data.manifest import read_manifest
from model.training import fold_trials, initialisation
from model.training import train as training
from model.training.candidates import Candidate
from model.training.distributed import make_fabric
from model.training.folds import class_folds
from model.training.initialisation import Inits, finish_init, init_heads, project_once
from model.training.learner import Learner, make_learner
from model.training.selection import Choice
from model.training.train import train
from model.training.training_data import open_data
from model.training.trunk_modes import FinetunedTrunk, FrozenTrunk, FrozenVectors
from model.training.validation import embed_rows, validate
from tests.support.training import MD5, SELECTING, settings

pytestmark = pytest.mark.usefixtures("small")

WEIGHTS = {"global": 1.0, "parts": 0.5, "local": 2.0}


@pytest.fixture
def learner_of(larger, tmp_path):
    """A function that makes a learner after its init, before its vectors are projected."""

    def make(
        init="whitened", *, whole_heads=False, model: ModelConfig = SELECTING, mode="frozen", known: Inits | None = None
    ) -> Learner:
        config = settings(mode)
        fabric = make_fabric(config)
        torch.manual_seed(config.seed)
        run = {"data_md5": MD5, "work": tmp_path, "progress": None, "fabric": fabric}
        data = open_data(read_manifest(larger), model, config, **run)
        learner = make_learner(data, class_folds(data.manifest, 3, 0)[0], Candidate(init, 1e-3, whole_heads), fabric)
        init_heads(learner, {} if known is None else known)
        return learner

    return make


def test_projecting_once_gives_the_same_embeddings_and_figures(learner_of):
    learner = learner_of()
    finish_init(learner, WEIGHTS)
    for _, head in learner.network.heads.named_heads():
        torch.nn.init.normal_(head.projection.residual, std=0.3)
    rows = learner.fold.held_out
    before, figures = embed_rows(learner, learner.network, rows), validate(learner)
    project_once(learner)
    assert isinstance(learner.mode, FrozenVectors)
    after = embed_rows(learner, learner.network, rows)
    torch.testing.assert_close(after.merged, before.merged)
    for name, vectors in before.heads.items():
        torch.testing.assert_close(after.heads[name], vectors)
    np.testing.assert_allclose(validate(learner).margin, figures.margin, atol=1e-5)


def test_only_the_rows_of_the_fold_are_projected_each_in_its_place(learner_of):
    learner = learner_of()
    fold, heads = learner.fold, learner.network.heads
    maps = learner.mode.inputs(learner.mode.unaugmented(fold.train[::-1][:3]))
    project_once(learner)
    assert len(learner.mode.vectors) == len(fold.train) + len(fold.held_out)
    with torch.inference_mode():
        expected = heads.eval().projected(*maps)
    (found,) = learner.mode.unaugmented(fold.train[::-1][:3])
    torch.testing.assert_close(found, expected)


def test_the_share_of_a_process_is_its_part_of_the_batch(learner_of):
    learner = learner_of()
    project_once(learner)
    rows = learner.fold.train[:6]
    (whole,) = learner.mode.unaugmented(rows)
    (part,) = learner.mode.augmented(rows, slice(2, 5), (0, 0))
    assert torch.equal(part, whole[2:5])


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"init": "random", "whole_heads": True}, FrozenTrunk),
        ({"whole_heads": True}, FrozenTrunk),
        ({"mode": "finetune", "whole_heads": True}, FinetunedTrunk),
        ({"model": SELECTING.model_copy(update={"method": "proxy_anchor"})}, FrozenVectors),
    ],
    ids=["random init", "whole heads", "finetuned trunk", "a method without attention"],
)
def test_maps_stay_where_more_than_the_residuals_is_trained(learner_of, changes, kept):
    learner = learner_of(**changes)
    project_once(learner)
    assert type(learner.mode) is kept


def fix_reductions(learner: Learner) -> None:
    """On maps, train the residuals alone."""
    for _, head in learner.network.heads.named_heads():
        head.reduction.requires_grad_(False)


@pytest.mark.parametrize("changes", [{}, {"ema": 0.5}, {"chunk": 3}], ids=str)
def test_a_training_on_vectors_gives_the_network_of_a_training_on_maps(larger, tmp_path, monkeypatch, changes):
    outs, choice = [], Choice(Candidate("whitened", 1e-3, False), 4, WEIGHTS)
    for name in ("vectors", "maps"):
        if name == "maps":
            for module in (training, fold_trials):
                monkeypatch.setattr(module, "project_once", fix_reductions)
        outs.append(tmp_path / name)
        run = {"data_md5": MD5, "work": outs[-1] / "work", "out": outs[-1], "choice": choice}
        report = train(larger, SELECTING, settings("frozen", **changes), **run)
        assert report.epochs_done == 4
    one, other = (load_file(out / "weights.safetensors") for out in outs)
    init = tmp_path / "init"
    run = {"data_md5": MD5, "work": init / "work", "out": init, "choice": Choice(choice.candidate, 0, WEIGHTS)}
    train(larger, SELECTING, settings("frozen"), **run)
    before = load_file(init / "weights.safetensors")
    assert one.keys() == other.keys() == before.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-4)
    moved = {name for name in one if not torch.allclose(one[name], before[name], atol=1e-3)}
    assert "heads.heads.global.projection.weight" in moved


def test_trainings_with_and_without_attention_share_one_whitened_init(learner_of, monkeypatch):
    known: Inits = {}
    residuals, whole = learner_of(known=known), learner_of(whole_heads=True)
    alone = {name: value.clone() for name, value in whole.network.heads.state_dict().items()}
    monkeypatch.setattr(initialisation, "whiten_heads", None)  # it would be called
    init_heads(whole, known)
    found = whole.network.heads.state_dict()
    assert all(torch.equal(found[name], value) for name, value in alone.items())
    shared = residuals.network.heads.state_dict()
    assert shared.keys() < found.keys()
    assert all(torch.equal(found[name], value) for name, value in shared.items())

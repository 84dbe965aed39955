"""What selection chooses: by hand, and in small trainings on drawn images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from model.config import ModelConfig, TrainConfig
from model.data.manifest import read_manifest, write_manifest
from model.evaluation.metrics import evaluate_retrieval
from model.files import read_json
from model.networks.architecture import Architecture, HeadSpec
from model.networks.heads import Embeddings, MultiHead
from model.networks.methods import get_method
from model.networks.stored import NetworkSpec, load_network
from model.retrieval.cohort import COHORT, WEIGHT
from model.schemas.train_report import TrainReport
from model.training import fold_trials, merge_weights, selection
from model.training import train as training
from model.training.candidates import Candidate, candidates
from model.training.checkpoint import Counters
from model.training.comparison import clearly_better
from model.training.fold_trials import FoldTrial
from model.training.folds import Fold, class_folds
from model.training.merge_weights import MERGE_WEIGHTS, choose_weights
from model.training.selection import Choice
from model.training.train import HELD_OUT, train
from model.training.training_data import TrainingData
from tests.support.datasets import VIEWS, make_dataset
from tests.support.training import CLASSES, MD5, SELECTING, on_folds, settings, steps_taken

RESIDUALS = Candidate("whitened", 1e-2, False)
WEIGHTS = {"global": 1.0, "parts": 0.5, "local": 2.0}


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        ([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], True),
        ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], False),
        ([0.5, 0.6], [0.5, 0.6], False),
        # A gain of 0.1 in the mean. The differences 0.3, 0 and 0 have a standard error of 0.1 as well.
        ([0.8, 0.6, 0.7], [0.5, 0.6, 0.7], False),
        # A gain of 0.1 in the mean, and a standard error of 0.058.
        ([0.7, 0.6, 0.8], [0.5, 0.6, 0.7], True),
        ([0.9, 0.2], [0.1, 0.9], False),
        ([0.51], [0.5], True),
        ([0.5], [0.5], False),
    ],
    ids=[
        "constant gain",
        "constant loss",
        "equal",
        "one class gains",
        "two classes gain",
        "noise",
        "one class",
        "one equal class",
    ],
)
def test_one_is_clearly_better_if_its_gain_exceeds_a_standard_error(one, other, better):
    counts = np.full(len(one), 4)
    assert clearly_better(np.array(one), np.array(other), counts) == better


def test_classes_count_by_their_queries():
    one, other = np.array([0.6, 0.0]), np.array([0.5, 0.3])
    assert not clearly_better(one, other, np.array([1, 1]))
    # The gain is 0.096, the standard error 0.0056.
    assert clearly_better(one, other, np.array([99, 1]))


def trial_of(map_at_r: list[list[float]], margin: list[list[float]] | None = None, folds: int = 1) -> FoldTrial:
    """A trial with the given figures of two classes in every fold, for the init and each epoch."""
    held_out = SimpleNamespace(manifest=SimpleNamespace(labels=np.repeat([0, 1], 4)), fold=SimpleNamespace(held_out=np.arange(8)))
    rows = [tuple(row) for row in map_at_r]
    counters = Counters(epoch=len(rows) - 1, map_at_r=tuple(rows), margin=tuple(map(tuple, margin or map_at_r)))
    return FoldTrial(RESIDUALS, [held_out] * folds, [counters] * folds, "folds")


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ([[0.5, 0.6]], 0),
        ([[0.5, 0.6], [0.6, 0.7], [0.7, 0.8]], 2),
        ([[0.5, 0.6], [0.7, 0.8], [0.6, 0.7]], 1),
        ([[0.5, 0.6], [0.6, 0.7], [0.6, 0.7]], 1),
        ([[0.5, 0.6], [0.9, 0.5], [0.6, 0.7]], 2),
        ([[0.5, 0.6], [0.4, 0.5]], 0),
    ],
    ids=["init", "last", "peak", "first of equals", "not the unsure one", "worse"],
)
def test_the_epoch_that_is_kept_is_clearly_better_than_the_one_before_it(figures, kept):
    assert trial_of(figures).kept == kept


def test_where_the_init_saturates_map_at_r_the_margin_is_compared():
    figures, margins = [[1.0, 1.0], [1.0, 1.0], [0.9, 0.9]], [[0.1, 0.2], [0.2, 0.3], [0.4, 0.5]]
    trial = trial_of(figures, margins)
    assert (trial.criterion, trial.kept) == ("margin", 2)
    below = trial_of([[0.97, 0.97], *figures[1:]], margins)
    assert (below.criterion, below.kept) == ("map_at_r", 1)


@pytest.mark.parametrize(
    ("figures", "finalists", "best"),
    [
        ({"a": [0.5, 0.6], "b": [0.6, 0.7], "c": [0.7, 0.8]}, "c", "c"),
        ({"a": [0.5, 0.6], "b": [0.7, 0.7], "c": [0.8, 0.65]}, "bc", "b"),
        ({"a": [0.7, 0.7], "b": [0.6, 0.7], "c": [0.9, 0.6]}, "ac", "a"),
        ({"a": [0.7, 0.7], "b": [0.7, 0.7], "c": [0.6, 0.6]}, "a", "a"),
    ],
    ids=["each is better", "two that are as good", "the simplest is as good", "equal"],
)
def test_the_finalists_are_the_best_and_the_simplest_that_it_does_not_clearly_beat(figures, finalists, best):
    trials = [trial_of([row])._replace(candidate=name) for name, row in figures.items()]
    assert "".join(trial.candidate for trial in selection._finalists(trials)) == finalists
    assert selection._best(trials).candidate == best


def test_the_figures_of_a_trial_are_those_of_all_folds_and_their_classes():
    trial = trial_of([[0.5, 0.6], [0.6, 0.7]], folds=3)
    assert trial.figures("map_at_r").tolist() == [[0.5, 0.6] * 3, [0.6, 0.7] * 3]
    assert trial.counts.tolist() == [4] * 6


HEADS = {"global": HeadSpec("deep", 8), "parts": HeadSpec("deep", 6), "local": HeadSpec("shallow", 4)}
LABELS = np.repeat(np.arange(12), 5)


def weights_of(monkeypatch, noise: dict[str, float], tuned: tuple[str, ...] = ("parts", "local"), init="whitened", folds=3):
    """The weights that are chosen for heads whose embeddings are the class's vector in noise of the given scale."""
    rng = np.random.default_rng(3)
    heads = {}
    for name, spec in HEADS.items():
        centres = rng.normal(size=(12, spec.dimensions))
        vectors = centres[LABELS] + noise[name] * rng.normal(size=(len(LABELS), spec.dimensions))
        heads[name] = F.normalize(torch.from_numpy(vectors).float(), dim=1)
    manifest = SimpleNamespace(labels=LABELS, ids=np.array([f"{number}" for number in range(len(LABELS))]))
    fold = Fold(np.arange(0), np.arange(len(LABELS)))
    network = SimpleNamespace(heads=MultiHead((3, 5), Architecture(HEADS)))
    candidate, config = Candidate(init, 1e-3, False), SimpleNamespace(fold_count=folds)
    learner = SimpleNamespace(network=network, candidate=candidate, fold=fold, manifest=manifest, config=config)
    monkeypatch.setattr(merge_weights, "embed_rows", lambda *_: Embeddings(heads["global"], heads))
    return choose_weights([learner], tuned)


def test_the_weight_of_the_better_head_rises_and_that_of_noise_falls(monkeypatch):
    chosen = weights_of(monkeypatch, {"global": 1.5, "parts": 0.5, "local": 30.0})
    assert chosen["global"] == 1
    assert chosen["parts"] > 1
    assert chosen["local"] < 1
    assert {chosen["parts"], chosen["local"]} <= set(MERGE_WEIGHTS)


def test_a_single_fold_keeps_the_weights_of_the_method(monkeypatch):
    assert weights_of(monkeypatch, {"global": 1.5, "parts": 0.5, "local": 30.0}, folds=1) == dict.fromkeys(HEADS, 1.0)


def test_of_weights_that_the_classes_cannot_tell_apart_the_simplest_is_chosen(monkeypatch):
    constant = SimpleNamespace(map_at_r=np.full(60, 0.5), by_class=lambda figures: np.full(12, figures.mean()))
    monkeypatch.setattr(merge_weights, "search", lambda *_: constant)
    assert weights_of(monkeypatch, dict.fromkeys(HEADS, 1.0)) == dict.fromkeys(HEADS, 1.0)


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_a_weight_that_is_clearly_better_replaces_the_simplest(monkeypatch, gain):
    """Weights from 2 on give each class `gain`. With the weight some classes rise and as many fall, which decides nothing."""

    def search(_, merged):
        weight = float(merged[0, 12:].norm() / merged[0, :8].norm())  # global 8, local 4, parts 6: by name, as heads are merged
        figures = np.repeat(0.5 + gain * (weight > 1.9) + 0.01 * weight * (-1) ** np.arange(12), 5)
        return SimpleNamespace(map_at_r=figures, by_class=lambda values: values[::5])

    monkeypatch.setattr(merge_weights, "search", search)
    found = weights_of(monkeypatch, dict.fromkeys(HEADS, 1.0), tuned=("parts",))
    assert found["parts"] == pytest.approx(2.0 if gain else 1.0)


@pytest.mark.parametrize(("tuned", "init"), [((), "whitened"), (("parts", "local"), "random")], ids=["no head", "random init"])
def test_weights_stay_where_nothing_is_to_be_tuned(monkeypatch, tuned, init):
    assert weights_of(monkeypatch, {"global": 1.0, "parts": 0.2, "local": 30.0}, tuned, init) == dict.fromkeys(HEADS, 1.0)


def tried(method: str, config: TrainConfig, **attention: str) -> list[str]:
    model = ModelConfig(method=method, **attention)
    names = {f"{head}_attention": getattr(model, f"{head}_attention") for head in ("global", "local")}
    return [
        candidate.slug for candidate in candidates(TrainingData(model, config, get_method(method, **names), None, None, None))
    ]


@pytest.mark.parametrize(
    ("method", "changes", "attention", "expected"),
    [
        (
            "multi_head",
            {},
            {},
            ["whitened-0.0003-residuals", "whitened-0.001-residuals", "whitened-0.0003-whole"],
        ),
        ("multi_head", {"trunk": "finetune"}, {}, ["whitened-0.0003-whole"]),
        ("multi_head", {"init": "random", "learning_rates": (0.1,)}, {}, ["random-0.1-whole"]),
        ("multi_head", {"epochs": 0}, {}, ["whitened-0.0003-residuals"]),
        ("multi_head", {"learning_rates": (0.1,)}, {"global_attention": "second_order"}, ["whitened-0.1-whole"]),
        ("multi_head", {"learning_rates": (0.1,)}, {"local_attention": "none"}, ["whitened-0.1-whole"]),
        ("multi_head", {"learning_rates": (0.1,)}, {"local_attention": "mask"}, ["whitened-0.1-whole"]),
        ("attention_kept", {"learning_rates": (0.1,)}, {}, ["whitened-0.1-whole"]),
        ("attention_none", {"learning_rates": (0.1,)}, {}, ["whitened-0.1-residuals", "whitened-0.1-whole"]),
        ("delg", {"learning_rates": (0.1,)}, {}, ["whitened-0.1-whole", "random-0.1-whole"]),
        ("abe", {"learning_rates": (0.1,)}, {}, ["whitened-0.1-whole", "random-0.1-whole"]),
        ("proxy_anchor", {"learning_rates": (0.1,)}, {}, ["whitened-0.1-residuals", "random-0.1-whole"]),
        (
            "solar",
            {"learning_rates": (0.1,)},
            {},
            ["whitened-0.1-residuals", "whitened-0.1-whole", "random-0.1-whole"],
        ),
    ],
    ids=str,
)
def test_the_candidates_are_what_the_settings_leave_open_the_simplest_first(method, changes, attention, expected):
    assert tried(method, TrainConfig(**changes), **attention) == expected


@pytest.fixture
def run(tmp_path):
    return {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}


@pytest.fixture
def read_rows(monkeypatch):
    """The rows that each training reads in training and holds out, by the name of its checkpoint's folder."""
    real, read = training.train_epoch, {}

    def train_epoch(learner, counters, save, stopping):
        path = save.__self__.path
        read[f"{path.parent.name.partition('-')[0]}/{path.stem}"] = learner.fold
        return real(learner, counters, save, stopping)

    for module in (fold_trials, training):
        monkeypatch.setattr(module, "train_epoch", train_epoch)
    return read


@pytest.mark.usefixtures("small")
def test_in_the_end_all_training_and_validation_classes_are_trained_on(larger, run, read_rows):
    report = train(larger, SELECTING, on_folds(), **run)
    manifest = read_manifest(larger)
    everything = sorted([*manifest.rows("train"), *manifest.rows("val")])
    assert report.best_epoch > 0
    assert read_rows.keys() == {"race/last0", "folds/last0", "folds/last1", "folds/last2", "all/last"}
    assert sorted(read_rows["all/last"].train) == everything
    assert len(read_rows["all/last"].held_out) == 0
    for number, fold in enumerate(class_folds(manifest, 3, on_folds().seed)):
        assert read_rows[f"folds/last{number}"].train.tolist() == fold.train.tolist()
    assert read_rows["race/last0"].train.tolist() == read_rows["folds/last0"].train.tolist()


def test_every_image_is_held_out_once_with_its_fold(larger, selected):
    report, out = selected
    held_out, manifest = load_file(out / HELD_OUT), read_manifest(larger)
    folds = class_folds(manifest, 3, on_folds().seed)
    assert held_out["labels"].tolist() == [label for fold in folds for label in manifest.labels[fold.held_out]]
    assert held_out["folds"].tolist() == [number for number, fold in enumerate(folds) for _ in fold.held_out]
    counts = np.bincount(held_out["labels"].numpy())
    assert counts[counts > 0].tolist() == [VIEWS] * (CLASSES["train"] + CLASSES["val"])
    assert held_out["vectors"].shape == (32, 256 + 24 + 16)
    torch.testing.assert_close(held_out["vectors"].norm(dim=1), torch.ones(32))
    assert (report.validation_classes, report.validation_images) == (8, 32)


def test_the_held_out_embeddings_are_those_of_the_epoch_that_was_kept(larger, selected):
    """Searched fold by fold they give the report's figure again."""
    report, out = selected
    held_out, figures = load_file(out / HELD_OUT), []
    for fold in range(3):
        mine = held_out["folds"] == fold
        vectors, labels = held_out["vectors"][mine].numpy(), held_out["labels"][mine].numpy()
        figures.append(evaluate_retrieval(vectors, labels, np.arange(len(labels)).astype(str)).map_at_r)
    assert np.concatenate(figures).mean() == pytest.approx(report.validation_map_at_r, abs=1e-6)


def test_the_offsets_of_held_out_images_are_by_the_training_classes_of_their_folds(larger, selected):
    """An image that resembles a training class has a larger offset; the cohort of the final network is of all classes."""
    _, out = selected
    offsets, means = load_file(out / HELD_OUT)["offsets"], load_file(out / COHORT)["means"]
    assert offsets.shape == (32,)
    assert offsets.abs().max() <= WEIGHT
    assert offsets.std() > 0
    assert means.shape == (CLASSES["train"] + CLASSES["val"], 256 + 24 + 16)
    torch.testing.assert_close(means.norm(dim=1), torch.ones(len(means)))


def test_the_report_states_the_choice_and_the_network_is_built_by_it(selected):
    report, out = selected
    spec = NetworkSpec.load(out)
    network = load_network(spec, out)
    assert (report.folds, report.criterion, report.epochs_planned) == (3, "map_at_r", 3)
    assert report.learning_rate in on_folds().learning_rates
    assert report.whole_heads == network.heads.architecture.attentive
    assert list(report.merge_weights) == list(network.heads.architecture.heads)
    assert report.merge_weights == network.heads.named_weights
    assert not [name for name in load_file(out / "weights.safetensors") if "residual" in name]
    low, high = report.gain_interval
    assert low <= report.gain_of_training <= high
    stored = TrainReport.model_validate(read_json(out / "training.json"))
    assert stored == report


@pytest.mark.usefixtures("small")
def test_a_network_without_attention_is_stored_without_it(larger, run):
    report = train(larger, SELECTING, on_folds(epochs=0), **run)
    assert not report.whole_heads
    spec = NetworkSpec.load(run["out"])
    assert {head.attention for head in spec.architecture.heads.values()} == {"none"}
    assert not [name for name in load_file(run["out"] / "weights.safetensors") if "attention" in name]


@pytest.mark.usefixtures("small")
def test_order_and_weights_of_the_heads_survive_on_disk(larger, run):
    train(larger, SELECTING, on_folds(), choice=Choice(RESIDUALS, 0, WEIGHTS), **run)
    spec = NetworkSpec.load(run["out"])
    network = load_network(spec, run["out"])
    assert network.heads.named_weights == WEIGHTS
    assert list(spec.architecture.heads) == ["global", "local", "parts"]


@pytest.mark.usefixtures("small")
def test_a_given_choice_needs_no_selection(larger, run, read_rows):
    report = train(larger, SELECTING, on_folds(), choice=Choice(RESIDUALS, 2, WEIGHTS), **run)
    assert read_rows.keys() == {"all/last"}
    assert (report.epochs_done, report.best_epoch, report.learning_rate, report.whole_heads) == (2, 2, 1e-2, False)
    assert report.merge_weights == WEIGHTS
    assert report.validation_classes == 0
    assert load_file(run["out"] / HELD_OUT)["vectors"].numel() == 0


@pytest.mark.usefixtures("small")
def test_another_choice_starts_anew(larger, run, monkeypatch):
    train(larger, SELECTING, on_folds(), choice=Choice(RESIDUALS, 2, WEIGHTS), **run)
    taken = steps_taken(monkeypatch)
    report = train(larger, SELECTING, on_folds(), choice=Choice(RESIDUALS, 1, WEIGHTS | {"local": 1.0}), **run)
    assert taken
    assert report.epochs_done == 1
    assert report.merge_weights["local"] == 1


@pytest.mark.usefixtures("small")
def test_of_too_few_classes_for_folds_the_init_is_kept(tmp_path, run):
    dataset = make_dataset(tmp_path / "data")
    rows = [(f"images/{label}/{view}.png", f"{label}", "train", None) for label in range(3) for view in range(VIEWS)]
    write_manifest(dataset, rows)
    report = train(dataset, SELECTING, on_folds(), **run)
    assert (report.epochs_done, report.best_epoch, report.validation_classes) == (0, 0, 0)
    assert "the init was kept" in report.outcome
    assert report.warning.startswith("There are no held-out classes")
    weights = load_file(run["out"] / "weights.safetensors")
    assert weights["heads.weights"].tolist() == [1, 0.5, 0.5]


@pytest.mark.usefixtures("small")
def test_a_candidate_that_diverges_is_left_out(larger, run):
    said = []
    config = on_folds(epochs=1, learning_rates=(1e30, 1e-3), proxy_learning_rate=1e-3, warmup_epochs=0)
    report = train(larger, SELECTING, config, progress=lambda done, total, what: said.append(what), **run)
    assert report.learning_rate == pytest.approx(1e-3)
    assert any(text.startswith("whitened init, rate 1e+30, residuals alone: ") and "no longer finite" in text for text in said)


@pytest.mark.usefixtures("small")
def test_the_best_candidate_of_the_first_fold_and_the_simplest_that_is_as_good_are_trained_on_all(larger, run, monkeypatch):
    monkeypatch.setattr(FoldTrial, "kept_mean", lambda trial, _: trial.candidate.learning_rate)

    def beats(trial: FoldTrial, other: FoldTrial, _: str) -> bool:
        """A higher rate beats a lower one on all folds; on the first fold alone nothing beats anything."""
        return len(trial.learners) == 3 and trial.candidate.learning_rate > other.candidate.learning_rate

    monkeypatch.setattr(FoldTrial, "beats", beats)
    report = train(larger, SELECTING, on_folds(epochs=1), **run)
    assert (report.learning_rate, report.whole_heads) == (3e-2, False)
    names = {path.name for path in (run["work"] / "training").glob("*/*") if path.is_dir()}
    assert {name for name in names if name.startswith("folds")} == {
        "folds-whitened-0.01-residuals",
        "folds-whitened-0.03-residuals",
    }
    assert {name for name in names if name.startswith("race")} == {
        "race-whitened-0.01-residuals",
        "race-whitened-0.03-residuals",
        "race-whitened-0.01-whole",
    }


@pytest.mark.usefixtures("small")
def test_a_single_candidate_needs_no_race(larger, run, read_rows):
    train(larger, SELECTING, on_folds(epochs=1, init="random", learning_rates=(1e-3,)), **run)
    assert not [name for name in read_rows if name.startswith("race")]


@pytest.mark.usefixtures("small")
def test_the_number_of_folds_is_the_settings(larger, run):
    report = train(larger, SELECTING, settings("frozen", folds=2, epochs=1), **run)
    assert report.folds == 2
    assert sorted(set(load_file(run["out"] / HELD_OUT)["folds"].tolist())) == [0, 1]

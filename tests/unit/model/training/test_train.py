"""Training on a handful of drawn images; a network of random weights, so that nothing is downloaded."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.data.manifest import read_manifest, write_manifest
from model.errors import GlocalError, InvalidInput
from model.evaluation.metrics import evaluate_retrieval
from model.files import read_json
from model.networks.heads import untrained_embedding
from model.networks.methods import ABLATIONS
from model.networks.stored import NetworkSpec, load_network
from model.networks.trunk import make_trunk
from model.retrieval.embedding import embed_manifest
from model.schemas.train_report import TrainReport
from model.training import epochs, fold_trials
from model.training.__main__ import main
from model.training.candidates import Candidate
from model.training.checkpoint import Checkpoint
from model.training.learner import Learner
from model.training.train import train
from model.training.validation import Validation
from tests.support.datasets import make_dataset
from tests.support.training import MD5, MODEL, MODES, figures, interrupted_at, same_as, settings

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_falls_and_every_epoch_is_in_the_history(whole, mode):
    report, out = whole[mode]
    losses = [entry.loss for entry in report.history[1:]]
    assert losses[-1] < 0.95 * losses[0]
    assert 0 < report.best_epoch < 4, "chosen so that the best is neither the first nor the last"
    assert [entry.epoch for entry in report.history] == [0, 1, 2, 3, 4]
    assert all(0 <= entry.map_at_r <= 1 for entry in report.history)
    assert report.validation_map_at_r > report.init_map_at_r
    assert report.history[report.best_epoch].map_at_r == report.validation_map_at_r
    assert json.loads((out / "training.json").read_text())["best_epoch"] == report.best_epoch


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_is_a_network_that_can_be_built(whole, mode):
    _, out = whole[mode]
    spec = NetworkSpec.load(out)
    assert spec == NetworkSpec("local_average", "test_efficientnet", 32, ABLATIONS["local_average"].architecture)
    assert not load_network(spec, out).training


def learner_after(dataset, tmp_path, mode, **changes):
    """The network after its init, and after all its epochs, the best one not put back."""
    kept = {}
    real = fold_trials.finish_init

    def finish_init(learner, weights):
        real(learner, weights)
        kept["learner"] = learner
        kept["before"] = {name: value.clone() for name, value in learner.network.state_dict().items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_trials, "finish_init", finish_init)
        patch.setattr(Checkpoint, "load", lambda *_: None)
        config = settings(mode, **changes)
        train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    return kept["before"], kept["learner"].network.state_dict()


def changed(before, after, part: str) -> set[str]:
    return {name for name in before if part in name and not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("frozen_stride", [0, 8])
def test_finetuning_moves_the_trunk_above_a_stride_and_never_its_batch_norm(dataset, tmp_path, frozen_stride):
    before, after = learner_after(dataset, tmp_path, "finetune", epochs=2, workers=0, frozen_stride=frozen_stride)
    moved = changed(before, after, "trunk.")
    norms = {name.removesuffix("running_mean") for name in before if name.startswith("trunk.") and name.endswith("running_mean")}
    assert norms
    assert moved
    assert not [name for name in moved if any(name.startswith(norm) for norm in norms)]
    assert ("trunk.body.conv_stem.weight" in moved) == (frozen_stride == 0)
    assert "trunk.body.blocks.3.0.conv_pw.weight" in moved
    assert changed(before, after, "heads.")


@pytest.mark.parametrize("init", ["random", "whitened"])
def test_the_trunk_rests_during_the_warm_up_after_a_random_init_alone(dataset, tmp_path, init):
    before, after = learner_after(dataset, tmp_path, "finetune", epochs=1, warmup_epochs=1, workers=0, init=init)
    assert bool(changed(before, after, "trunk.")) == (init == "whitened")
    assert changed(before, after, "heads.")


def test_a_frozen_trunk_does_not_move_and_its_heads_do(dataset, tmp_path):
    before, after = learner_after(dataset, tmp_path, "frozen", epochs=2, init="random")
    assert not changed(before, after, "trunk.")
    assert any(".attention.psi." in name for name in changed(before, after, "heads."))
    assert any(name.endswith(".projection.weight") for name in changed(before, after, "heads."))


@pytest.mark.parametrize("mode", MODES)
def test_after_a_whitened_init_the_residuals_move_and_the_projections_do_not(dataset, tmp_path, mode):
    before, after = learner_after(dataset, tmp_path, mode, epochs=2, workers=0)
    moved = {name.partition(".projection.")[2] for name in changed(before, after, ".projection.")}
    assert moved == {"residual"}
    assert any(".attention.psi." in name for name in changed(before, after, "heads."))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", [{"workers": 3}, {"checkpoint_every": 1}], ids=str)
def test_how_it_runs_does_not_change_what_comes_out(dataset, whole, tmp_path, mode, changes):
    config = settings(mode, **changes)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_as(whole, mode, report, tmp_path / "out")


@pytest.mark.parametrize("mode", MODES)
def test_chunks_do_not_change_what_comes_out(dataset, tmp_path, mode):
    """But for rounding, which AdamW at a high rate would blow up where a gradient is nearly zero."""
    changes = {"learning_rates": (1e-4,), "trunk_learning_rate": 1e-4, "epochs": 2}
    outs = []
    for chunk in (0, 3):
        outs.append(tmp_path / f"{chunk}")
        train(dataset, MODEL, settings(mode, chunk=chunk, **changes), data_md5=MD5, work=outs[-1] / "work", out=outs[-1])
    one, other = (load_file(out / "weights.safetensors") for out in outs)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_the_average_is_what_is_kept_and_resumes_exactly(dataset, whole, tmp_path, monkeypatch, mode):
    config = settings(mode, ema=0.5, checkpoint_every=1)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "one", out=tmp_path / "one" / "out")
    expected, folder = whole[mode]
    assert [e.loss for e in report.history] == [e.loss for e in expected.history], "the average is not trained"
    assert report.history[0] == expected.history[0]
    run = {"data_md5": MD5, "work": tmp_path / "two", "out": tmp_path / "two" / "out"}
    with monkeypatch.context() as patch:
        interrupted_at(patch, 5, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, config, **run)
    again = train(dataset, MODEL, config, **run)
    assert figures(again) == figures(report)
    one, two, plain = (
        (path / "weights.safetensors").read_bytes() for path in (tmp_path / "one/out", tmp_path / "two/out", folder)
    )
    assert one == two != plain


def test_the_average_moves_by_its_decay(dataset, tmp_path, monkeypatch):
    kept, average = [], Learner.average

    def noted(learner):
        average(learner)
        weight = "heads.global.projection.residual"
        kept.append((learner.network.heads.state_dict()[weight].clone(), learner.evaluated.heads.state_dict()[weight].clone()))

    monkeypatch.setattr(Learner, "average", noted)
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen", epochs=1, ema=0.75), **run)
    (first, start), (second, then), _ = kept
    assert torch.equal(first, start)
    assert not torch.equal(second, first)
    torch.testing.assert_close(then, 0.75 * first + 0.25 * second)


@pytest.mark.parametrize("mode", MODES)
def test_compiled_it_trains_the_same_under_the_same_names(dataset, whole, tmp_path, monkeypatch, mode):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # captured, but not built: that takes minutes
    config = settings(mode, compile=True, epochs=1)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert report.history[1].loss == pytest.approx(whole[mode][0].history[1].loss, rel=1e-3)
    for file in [tmp_path / "out" / "weights.safetensors", *(tmp_path / "work" / "training").rglob("*.safetensors")]:
        assert not [name for name in load_file(file) if "_orig_mod" in name or "module." in name]


def test_training_ends_when_patience_does(dataset, tmp_path, monkeypatch):
    scores = iter([0.5, 0.6, 0.4, 0.6, 0.9])

    def validate(learner) -> Validation:
        labels = learner.manifest.labels[learner.fold.held_out]
        return Validation(labels, np.full(len(labels), next(scores)), lambda: np.zeros(len(labels)))

    monkeypatch.setattr(fold_trials, "validate", validate)
    config = settings("frozen", epochs=10, patience=2, init="random")
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert (report.epochs_done, report.best_epoch, report.validation_map_at_r) == (3, 1, pytest.approx(0.6))


@pytest.mark.parametrize(("init", "whitened"), [("method", True), ("whitened", True), ("random", False)])
def test_projections_are_initialised_as_the_setting_says(dataset, tmp_path, init, whitened):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen", epochs=0, init=init), **run)
    weight = load_file(tmp_path / "out" / "weights.safetensors")["heads.heads.global.projection.weight"]
    assert (weight[64:].abs().max().item() == 0) == whitened, "beyond the map's 64 channels a whitening has nothing to say"


def test_no_epochs_keep_the_heads_as_they_were_initialised(dataset, tmp_path):
    report = train(dataset, MODEL, settings("frozen", epochs=0), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert (report.epochs_done, report.best_epoch) == (0, 0)
    psi = [value for name, value in load_file(tmp_path / "out" / "weights.safetensors").items() if ".psi." in name]
    assert psi
    assert all(value.abs().max() == 0 for value in psi)


def test_a_loss_that_is_not_finite_ends_the_training_with_what_to_do(dataset, tmp_path):
    config = settings("frozen", learning_rates=(1e30,), proxy_learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(GlocalError, match=r"no longer finite|not finite") as caught:
        train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert "train.learning_rates" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_single_class_is_refused(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    write_manifest(dataset, [(f"images/0/{view}.png", "only", "train", None) for view in range(4)])
    for mode in MODES:
        with pytest.raises(InvalidInput, match="at least two classes"):
            train(dataset, MODEL, settings(mode), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")


def test_rates_rise_in_the_warm_up_and_fall_to_nothing():
    config = settings("finetune", epochs=4, warmup_epochs=1, trunk_learning_rate=2.0, proxy_learning_rate=3.0)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "role": role} for role in ("trunk", "heads", "proxies")]
    optimizer = torch.optim.AdamW(groups)
    learner = SimpleNamespace(config=config, candidate=Candidate("random", 1.0, True), optimizer=optimizer)
    rates = []
    for step in range(17):
        epochs._set_rates(learner, step, 4)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates[0] == pytest.approx([0, 0.25, 0.75])
    assert rates[2] == pytest.approx([0, 0.75 * 0.5 * (1 + np.cos(np.pi / 8)), 2.25 * 0.5 * (1 + np.cos(np.pi / 8))])
    assert rates[8] == pytest.approx([1.0, 0.5, 1.5])  # half way, half the rate
    assert rates[16] == pytest.approx([0, 0, 0])


def test_the_log_and_the_progress_say_every_epoch_and_what_the_training_gave(dataset, tmp_path, caplog):
    said = []
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with caplog.at_level("INFO", "model.training"):
        report = train(dataset, MODEL, settings("frozen"), progress=lambda *given: said.append(given), **run)
    sentences = [what for done, total, what in said if not total]
    assert sentences == [record.getMessage() for record in caplog.records]
    init, untrained = report.init_map_at_r, report.untrained_map_at_r
    chosen = "whitened init, rate 0.0005, whole heads, the first fold"
    assert sentences[0] == "the trunk is frozen, the heads alone are trained, as train.trunk says"
    assert sentences[1] == f"{chosen}: held-out MAP@R {init:.4f}, untrained trunk {untrained:.4f}"
    every = [
        f"epoch {e.epoch} of 4: loss {e.loss:.3f}, held-out MAP@R {e.map_at_r:.4f} ({chosen})"
        for e in report.history
        if e.loss is not None
    ]
    assert sentences[2:6] == every
    assert sentences[6] == "re-ranking by local features is compared with the global search on held-out images"
    assert sentences[7:] == list(report.summary)
    assert sentences[7:9] == [sentences[0], report.selection]
    assert sentences[9] == f"best epoch {report.best_epoch} of 4"
    assert sentences[-1] == report.warning


def test_the_untrained_trunk_is_evaluated_on_the_validation_classes(dataset, whole):
    report, _ = whole["frozen"]
    torch.manual_seed(settings("frozen").seed)
    trunk = make_trunk(MODEL.trunk, MODEL.weights).eval()
    val = read_manifest(dataset)
    val = val.select(val.rows("val"))
    vectors = embed_manifest(trunk, lambda _, deep: untrained_embedding(deep), val, MODEL.image_size)
    expected = evaluate_retrieval(vectors, val.labels, val.ids).mean("map_at_r")
    assert report.untrained_map_at_r == pytest.approx(expected, abs=1e-6)
    assert (report.validation_classes, report.validation_images) == (2, 8)


def test_the_report_on_disk_is_the_report(whole):
    report, out = whole["finetune"]
    assert TrainReport.model_validate(read_json(out / "training.json")) == report


def without_validation(folder):
    dataset = make_dataset(folder)
    manifest = read_manifest(dataset)
    rows = [
        (str(path), manifest.classes[label], "train", None) for path, label in zip(manifest.paths, manifest.labels, strict=True)
    ]
    write_manifest(dataset, rows)
    return dataset


def test_without_validation_classes_the_init_is_kept_and_the_report_says_so(tmp_path):
    dataset = without_validation(tmp_path / "data")
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    report = train(dataset, MODEL, settings("frozen", epochs=1), **run)
    assert report.kept_init
    assert (report.validation_classes, report.validation_map_at_r) == (0, 0.0)
    assert report.warning.startswith("There are no held-out classes")
    assert "MAP@R" not in " ".join(report.summary), "nothing was measured"


def test_a_finetuned_trunk_with_one_validation_class_is_selected_on_folds_unless_one_is_asked_for(larger, tmp_path):
    manifest = read_manifest(larger)
    labels = [manifest.classes[label] for label in manifest.labels]
    rows = [
        (str(larger / path), label, "test" if split == "test" else "val" if label == labels[0] else "train", None)
        for path, label, split in zip(manifest.paths, labels, manifest.splits, strict=True)
    ]
    write_manifest(tmp_path, rows)
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    found = {folds: train(tmp_path, MODEL, settings("finetune", epochs=1, folds=folds), **run) for folds in (0, 1)}
    assert (found[0].folds, found[0].validation_classes, found[0].epochs_done) == (3, 8, 1)
    assert found[1].validation_classes == 0


def test_validation_classes_of_one_image_each_count_for_nothing(tmp_path):
    dataset = without_validation(tmp_path / "data")
    rows = [(f"images/{label}/{view}.png", str(label), "train", None) for label in range(4) for view in range(4)]
    write_manifest(dataset, [*rows, ("images/4/0.png", "4", "val", None), ("images/5/0.png", "5", "val", None)])
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    report = train(dataset, MODEL, settings("frozen", epochs=1), **run)
    assert (report.validation_classes, report.validation_images, report.validation_map_at_r) == (0, 0, 0.0)
    assert report.kept_init


def test_the_command_prints_the_same_words(dataset, tmp_path, capsys):
    changes = {**{f"model.{key}": value for key, value in MODEL.model_dump().items()}, "train.epochs": 1, "train.device": "cpu"}
    flags = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    command = [str(dataset), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), *flags]
    assert main(command) == 0
    said = capsys.readouterr()
    report = TrainReport.model_validate(read_json(tmp_path / "out" / "training.json"))
    figure = f"validation MAP@R {report.validation_map_at_r:.4f}"
    assert said.out.splitlines() == [f"{report.outcome}, {figure}: {tmp_path / 'out'}"]
    assert "epoch 1 of 1: loss " in said.err
    assert [sentence for sentence in report.summary if sentence not in said.err] == []
    assert main([*command, "--json"]) == 0
    assert TrainReport.model_validate_json(capsys.readouterr().out) == report

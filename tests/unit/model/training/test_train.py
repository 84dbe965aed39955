"""Training on a handful of drawn images; a network of random weights, so that nothing is downloaded."""

import json
from functools import partial

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
from model.training import initialisation
from model.training import train as training
from model.training.__main__ import main
from model.training.learner import Learner
from model.training.train import train
from tests.support.datasets import make_dataset
from tests.support.training import MD5, MODEL, MODES, figures, interrupted_at, same_as, settings


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_falls_and_every_epoch_is_in_the_history(whole, mode):
    report, out = whole[mode]
    losses = [entry.loss for entry in report.history[1:]]
    assert losses[-1] < 0.95 * losses[0]
    assert 0 < report.best_epoch < 4, "chosen so that the best is neither the first nor the last"
    assert [entry.epoch for entry in report.history] == [0, 1, 2, 3, 4]
    assert all(0 <= entry.map_at_r <= 1 for entry in report.history)
    assert report.validation_map_at_r == max(entry.map_at_r for entry in report.history)
    assert report.history[report.best_epoch].map_at_r == report.validation_map_at_r
    assert json.loads((out / "training.json").read_text())["best_epoch"] == report.best_epoch


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_is_a_network_that_can_be_built(whole, mode):
    _, out = whole[mode]
    spec = NetworkSpec.from_json(read_json(out / "config.json"))
    assert spec == NetworkSpec("local_average", "test_efficientnet", 32, ABLATIONS["local_average"].architecture)
    assert not load_network(spec, out / "weights.safetensors").training


def learner_after(dataset, tmp_path, mode, **changes):
    """What is being trained after all its epochs, the best one not put back; and how it was before."""
    kept = {}
    real = training.make_learner

    def make_learner(*arguments, **named):
        kept["learner"] = real(*arguments, **named)
        kept["before"] = {name: value.clone() for name, value in kept["learner"].network.state_dict().items()}
        return kept["learner"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_learner", make_learner)
        patch.setattr(training._Checkpoints, "load", lambda *_: None)
        config = settings(mode, **changes)
        train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    return kept["before"], kept["learner"].network.state_dict()


def changed(before, after, part: str) -> set[str]:
    return {name for name in before if part in name and not torch.equal(before[name], after[name])}


def test_finetuning_moves_the_trunk_and_never_its_batch_norm(dataset, tmp_path):
    before, after = learner_after(dataset, tmp_path, "finetune", epochs=2, workers=0)
    moved = changed(before, after, "trunk.")
    norms = {name.removesuffix("running_mean") for name in before if name.startswith("trunk.") and name.endswith("running_mean")}
    assert norms
    assert moved
    assert not [name for name in moved if any(name.startswith(norm) for norm in norms)]
    assert {name for name in before if name.startswith("trunk.") and name.endswith("conv_stem.weight")} <= moved
    assert changed(before, after, "heads.")


def test_the_trunk_rests_during_the_warm_up_and_the_heads_do_not(dataset, tmp_path):
    before, after = learner_after(dataset, tmp_path, "finetune", epochs=1, warmup_epochs=1, workers=0)
    assert not changed(before, after, "trunk.")
    assert changed(before, after, "heads.")


def test_a_frozen_trunk_does_not_move_and_its_heads_do(dataset, tmp_path):
    before, after = learner_after(dataset, tmp_path, "frozen", epochs=2)
    assert not changed(before, after, "trunk.")
    assert any(".attention.psi." in name for name in changed(before, after, "heads."))
    assert any(".projection." in name for name in changed(before, after, "heads."))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", [{"workers": 3}, {"checkpoint_every": 1}], ids=str)
def test_how_it_runs_does_not_change_what_comes_out(dataset, whole, tmp_path, mode, changes):
    config = settings(mode, **changes)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_as(whole, mode, report, tmp_path / "out")


@pytest.mark.parametrize("mode", MODES)
def test_chunks_do_not_change_what_comes_out(dataset, tmp_path, mode):
    """But for rounding, which AdamW at a high rate would blow up where a gradient is nearly zero."""
    changes = {"learning_rate": 1e-4, "trunk_learning_rate": 1e-4, "epochs": 2}
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
        weight = "heads.global.projection.weight"
        kept.append((learner.network.heads.state_dict()[weight].clone(), learner.evaluated.heads.state_dict()[weight].clone()))

    monkeypatch.setattr(Learner, "average", noted)
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen", epochs=1, ema=0.75), **run)
    (first, start), (second, then), _ = kept
    assert torch.equal(first, start)
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
    monkeypatch.setattr(training, "validate", lambda learner: next(scores))
    config = settings("frozen", epochs=10, patience=2, init="random")
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert (report.epochs_done, report.best_epoch, report.validation_map_at_r) == (3, 1, 0.6)


@pytest.mark.parametrize(
    ("figures", "chosen"), [({0.5: 0.9, 0.35: 0.8}, 0.5), ({}, 1.0), ({1.4: 0.9, 2.0: 0.9}, 1.4)], ids=["best", "all", "two"]
)
def test_the_local_heads_weight_is_the_best_on_the_validation_classes_or_the_first_of_equals(
    dataset, tmp_path, monkeypatch, figures, chosen
):
    def map_at_r(learner, merged) -> float:
        torch.testing.assert_close(merged.norm(dim=1), torch.ones(len(learner.val_rows)))
        return figures.get(round(learner.network.heads.weights[1].item(), 3), 0.1)

    monkeypatch.setattr(initialisation, "map_at_r", map_at_r)
    out = tmp_path / "out"
    train(dataset, MODEL, settings("frozen", epochs=0), data_md5=MD5, work=tmp_path / "work", out=out)
    network = load_network(NetworkSpec.from_json(read_json(out / "config.json")), out / "weights.safetensors")
    assert network.heads.weights.tolist() == pytest.approx([1.0, chosen])


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
    config = settings("frozen", learning_rate=1e30, proxy_learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(GlocalError, match=r"no longer finite|not finite") as caught:
        train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert "train.learning_rate" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_single_class_is_refused(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    write_manifest(dataset, [(f"images/0/{view}.png", "only", "train", None) for view in range(4)])
    for mode in MODES:
        with pytest.raises(InvalidInput, match="at least two classes"):
            train(dataset, MODEL, settings(mode), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")


def test_rates_rise_in_the_warm_up_and_fall_to_nothing():
    config = settings("finetune", epochs=4, warmup_epochs=1, learning_rate=1.0, trunk_learning_rate=2.0, proxy_learning_rate=3.0)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "role": role} for role in ("trunk", "heads", "proxies")]
    optimizer = torch.optim.AdamW(groups)
    rates = []
    for step in range(17):
        training._set_rates(optimizer, config, step, 4)
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
    assert sentences[0] == f"whitened init: validation MAP@R {init:.4f}, untrained trunk {untrained:.4f}"
    epochs = [
        f"epoch {e.epoch} of 4: loss {e.loss:.3f}, validation MAP@R {e.map_at_r:.4f}"
        for e in report.history
        if e.loss is not None
    ]
    assert sentences[1:5] == epochs
    assert sentences[5:] == list(report.summary)
    assert sentences[5] == f"best epoch {report.best_epoch} of 4"
    assert "the number of validation classes is 2 (fewer than 5)" in sentences[-1]


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
    assert report.warning.startswith("There are no validation classes")


def test_validation_classes_of_one_image_each_count_for_nothing(tmp_path):
    dataset = without_validation(tmp_path / "data")
    rows = [(f"images/{label}/{view}.png", str(label), "train", None) for label in range(4) for view in range(4)]
    write_manifest(dataset, [*rows, ("images/4/0.png", "4", "val", None), ("images/5/0.png", "5", "val", None)])
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    report = train(dataset, MODEL, settings("frozen", epochs=1), **run)
    assert (report.validation_classes, report.validation_images, report.validation_map_at_r) == (0, 2, 0.0)


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
    assert all(sentence in said.err for sentence in report.summary)
    assert main([*command, "--json"]) == 0
    assert TrainReport.model_validate_json(capsys.readouterr().out) == report

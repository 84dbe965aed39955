"""Training on a handful of drawn images, whole and interrupted; a network of random weights, so that nothing is downloaded."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.config import ModelConfig, TrainConfig
from model.errors import GlocalError, InvalidInput
from model.files import read_json
from model.networks.methods import ABLATIONS
from model.networks.stored import NetworkSpec, load_network
from model.training import start as starting
from model.training import train as training
from model.training.learner import Learner
from model.training.train import train
from tests.support.datasets import make_dataset

# Of the methods that start whitened and choose a weight, the one whose whitening is quick.
MODEL = ModelConfig(method="local_average", trunk="test_efficientnet", weights="none", image_size=32)
MD5 = "a" * 32
REGIMES = ("frozen", "finetune")


def settings(regime: str, **changes) -> TrainConfig:
    return TrainConfig(
        **{
            "trunk": regime,
            "epochs": 4,
            "classes_per_batch": 4,
            "images_per_class": 2,  # two steps an epoch
            "learning_rate": 2e-3,
            "trunk_learning_rate": 2e-3,
            "patience": 10,
            "seed": 5,
            "device": "cpu",
            "workers": 1 if regime == "finetune" else 0,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """An uninterrupted training of each regime: its report and its folder."""
    done = {}
    for regime in REGIMES:
        work = tmp_path_factory.mktemp(regime)
        report = train(dataset, MODEL, settings(regime), data_md5=MD5, work=work / "work", out=work / "out")
        done[regime] = report, work / "out"
    return done


def figures(report) -> list[dict[str, float]]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in report.history]


def same_as(whole, regime, report, out) -> bool:
    expected, folder = whole[regime]
    assert figures(report) == figures(expected)
    assert (report.epochs, report.best_epoch, report.validation_map_at_r) == (
        expected.epochs,
        expected.best_epoch,
        expected.validation_map_at_r,
    )
    return (out / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def interrupted_at(monkeypatch, step: int, error: BaseException) -> None:
    """Fail at a step of the optimiser, counted over all epochs."""
    real, steps = training._set_rates, count()

    def set_rates(*arguments):
        if next(steps) == step:
            raise error
        real(*arguments)

    monkeypatch.setattr(training, "_set_rates", set_rates)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_loss_falls_and_every_epoch_is_in_the_history(whole, regime):
    report, out = whole[regime]
    losses = [entry["loss"] for entry in report.history[1:]]
    assert losses[-1] < 0.95 * losses[0]
    assert 0 < report.best_epoch < 4, "chosen so that the best is neither the first nor the last"
    assert [entry["epoch"] for entry in report.history] == [0, 1, 2, 3, 4]
    assert all(0 <= entry["map_at_r"] <= 1 for entry in report.history)
    assert report.validation_map_at_r == max(entry["map_at_r"] for entry in report.history)
    assert report.history[report.best_epoch]["map_at_r"] == report.validation_map_at_r
    assert json.loads((out / "training.json").read_text())["best_epoch"] == report.best_epoch


@pytest.mark.parametrize("regime", REGIMES)
def test_what_is_written_is_a_network_that_can_be_built(whole, regime):
    _, out = whole[regime]
    spec = NetworkSpec.from_json(read_json(out / "config.json"))
    assert spec == NetworkSpec("local_average", "test_efficientnet", 32, ABLATIONS["local_average"].architecture)
    assert not load_network(spec, out / "weights.safetensors").training


def learner_after(dataset, tmp_path, regime, **changes):
    """What is being trained after all its epochs, the best one not put back; and how it was before."""
    kept = {}
    real = training.make_learner

    def make_learner(*arguments, **named):
        kept["learner"] = real(*arguments, **named)
        kept["before"] = {name: value.clone() for name, value in kept["learner"].network.state_dict().items()}
        return kept["learner"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_learner", make_learner)
        patch.setattr(training, "_load", lambda *_: None)
        config = settings(regime, **changes)
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


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("step", [1, 5], ids=["in the first epoch", "in the middle of the third"])
def test_an_interrupted_training_resumes_and_ends_as_the_uninterrupted(dataset, whole, tmp_path, monkeypatch, regime, step):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with monkeypatch.context() as patch:
        interrupted_at(patch, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, settings(regime), **run)
    assert not (tmp_path / "out").exists()
    epochs = []
    report = train(dataset, MODEL, settings(regime), progress=lambda done, total, what: epochs.append((done, what)), **run)
    assert [done for done, what in epochs if what.startswith("epochs")] == list(range(step // 2 + 1, 5))
    assert same_as(whole, regime, report, tmp_path / "out")


@pytest.mark.parametrize("write", [0, 1, 2, 3, 4, 5])
def test_killed_between_any_two_checkpoints_it_ends_as_the_uninterrupted(dataset, whole, tmp_path, monkeypatch, write):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    real, writes = training.save_checkpoint, count()

    def save(*arguments):
        if next(writes) == write:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, settings("frozen"), **run)
    report = train(dataset, MODEL, settings("frozen"), **run)
    assert same_as(whole, "frozen", report, tmp_path / "out")


@pytest.mark.parametrize("regime", REGIMES)
def test_interrupted_it_goes_on_after_the_last_step_on_record(dataset, whole, tmp_path, monkeypatch, regime):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    config = settings(regime, checkpoint_every=1)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 5, KeyboardInterrupt())  # the second step of the third epoch
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, config, **run)
    taken = steps_taken(monkeypatch)
    report = train(dataset, MODEL, config, **run)
    assert taken == [5, 6, 7]
    assert same_as(whole, regime, report, tmp_path / "out")


def steps_taken(monkeypatch) -> list[int]:
    real, taken = training._set_rates, []

    def set_rates(optimizer, config, step, steps_per_epoch):
        taken.append(step)
        real(optimizer, config, step, steps_per_epoch)

    monkeypatch.setattr(training, "_set_rates", set_rates)
    return taken


SIGNALLED = """
import os, sys
from itertools import count
from model.training import start as starting
from model.training import train as training
from model.training.__main__ import main

real, steps = training._set_rates, count()

def set_rates(*arguments):
    if next(steps) == int(sys.argv[1]):
        for name in sys.argv[2].split(","):
            os.kill(os.getpid(), int(name))
    real(*arguments)

training._set_rates = set_rates
sys.exit(main(sys.argv[3:]))
"""


def signalled(dataset, folder, regime, step, *signals, **changes) -> subprocess.CompletedProcess[str]:
    """A training of its own that gets signals at the start of a step, counted over all epochs."""
    sections = {"model": MODEL.model_dump(), "train": settings(regime, **changes).model_dump()}
    (folder / "run.yaml").write_text(json.dumps(sections))
    paths = [dataset, "--work", folder / "work", "--out", folder / "out", "--config", folder / "run.yaml", "--data-md5", MD5]
    command = [sys.executable, "-c", SIGNALLED, str(step), ",".join(str(int(some)) for some in signals), *paths]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
def test_killed_in_mid_epoch_it_resumes_and_ends_as_the_uninterrupted(dataset, whole, tmp_path, regime):
    killed = signalled(dataset, tmp_path, regime, 5, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    report = train(dataset, MODEL, settings(regime), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_as(whole, regime, report, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 5], ids=["in mid epoch", "at an epoch's last step"])
def test_sigterm_ends_it_after_the_step_at_hand_and_it_goes_on_there(dataset, whole, tmp_path, monkeypatch, step):
    ended = signalled(dataset, tmp_path, "finetune", step, signal.SIGTERM)
    assert ended.returncode == 143
    assert f"Stopped after {step - 3} of 2 steps of epoch 3." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
    taken = steps_taken(monkeypatch)
    report = train(dataset, MODEL, settings("finetune"), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert taken == list(range(step + 1, 8))
    assert same_as(whole, "finetune", report, tmp_path / "out")


@pytest.mark.slow
def test_a_second_sigterm_ends_it_at_once(dataset, tmp_path):
    assert signalled(dataset, tmp_path, "frozen", 4, signal.SIGTERM, signal.SIGTERM).returncode == -signal.SIGTERM


def test_sigterm_means_afterwards_what_it_meant_before(dataset, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(dataset, MODEL, settings("frozen", epochs=1), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_trains_in_a_thread_where_signals_cannot_be_heard(dataset, whole, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
        report = pool.submit(train, dataset, MODEL, settings("frozen"), **run).result()
    assert same_as(whole, "frozen", report, tmp_path / "out")


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("changes", [{"workers": 3}, {"checkpoint_every": 1}], ids=str)
def test_how_it_runs_does_not_change_what_comes_out(dataset, whole, tmp_path, regime, changes):
    config = settings(regime, **changes)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_as(whole, regime, report, tmp_path / "out")


@pytest.mark.parametrize("regime", REGIMES)
def test_chunks_do_not_change_what_comes_out(dataset, tmp_path, regime):
    """But for rounding, which AdamW at a high rate would blow up where a gradient is nearly zero."""
    changes = {"learning_rate": 1e-4, "trunk_learning_rate": 1e-4, "epochs": 2}
    outs = []
    for chunk in (0, 3):
        outs.append(tmp_path / f"{chunk}")
        train(dataset, MODEL, settings(regime, chunk=chunk, **changes), data_md5=MD5, work=outs[-1] / "work", out=outs[-1])
    one, other = (load_file(out / "weights.safetensors") for out in outs)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_is_resumed_under_settings_that_change_only_how_it_runs(dataset, whole, tmp_path, monkeypatch):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen"), **run)
    taken = steps_taken(monkeypatch)
    train(dataset, MODEL, settings("frozen", chunk=2, checkpoint_every=3, workers=1, device="auto"), **run)
    assert not taken


@pytest.mark.parametrize("regime", REGIMES)
def test_the_average_is_what_is_kept_and_resumes_exactly(dataset, whole, tmp_path, monkeypatch, regime):
    config = settings(regime, ema=0.5, checkpoint_every=1)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "one", out=tmp_path / "one" / "out")
    expected, folder = whole[regime]
    assert [e.get("loss") for e in report.history] == [e.get("loss") for e in expected.history], "the average is not trained"
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
        kept.append((learner.network.heads.state_dict()[weight].clone(), learner.judged.heads.state_dict()[weight].clone()))

    monkeypatch.setattr(Learner, "average", noted)
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen", epochs=1, ema=0.75), **run)
    (first, start), (second, then), _ = kept
    assert torch.equal(first, start)
    torch.testing.assert_close(then, 0.75 * first + 0.25 * second)


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
def test_compiled_it_trains_the_same_under_the_same_names(dataset, whole, tmp_path, monkeypatch, regime):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # captured, but not built: that takes minutes
    config = settings(regime, compile=True, epochs=1)
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert report.history[1]["loss"] == pytest.approx(whole[regime][0].history[1]["loss"], rel=1e-3)
    for file in [tmp_path / "out" / "weights.safetensors", *(tmp_path / "work" / "training").rglob("*.safetensors")]:
        assert not [name for name in load_file(file) if "_orig_mod" in name or "module." in name]


def test_a_finished_training_is_not_repeated(dataset, tmp_path, monkeypatch):
    run = {"data_md5": MD5, "work": tmp_path / "work"}
    first = train(dataset, MODEL, settings("frozen"), out=tmp_path / "one", **run)
    monkeypatch.setattr(training, "train_epoch", None)
    assert train(dataset, MODEL, settings("frozen"), out=tmp_path / "two", **run) == first
    assert (tmp_path / "one" / "weights.safetensors").read_bytes() == (tmp_path / "two" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("change", ["seed", "data"])
def test_other_settings_or_data_start_anew(dataset, tmp_path, change):
    run = {"work": tmp_path / "work", "out": tmp_path / "out"}
    first = train(dataset, MODEL, settings("frozen", epochs=1), data_md5=MD5, **run)
    before = load_file(tmp_path / "out" / "weights.safetensors")
    md5, seed = ("b" * 32, 5) if change == "data" else (MD5, 1)
    epochs = []
    progress = lambda done, total, what: epochs.append(what)  # noqa: E731
    second = train(dataset, MODEL, settings("frozen", epochs=1, seed=seed), data_md5=md5, progress=progress, **run)
    assert any(what.startswith("epochs") for what in epochs)
    after = load_file(tmp_path / "out" / "weights.safetensors")
    if change == "data":  # the images are the same, only their name is not
        assert figures(second) == figures(first)
    else:
        assert any(not torch.equal(before[name], after[name]) for name in before)


def test_training_ends_when_patience_does(dataset, tmp_path, monkeypatch):
    scores = iter([0.5, 0.6, 0.4, 0.6, 0.9])
    monkeypatch.setattr(training, "validate", lambda learner: next(scores))
    config = settings("frozen", epochs=10, patience=2, start="random")  # no weight is chosen by `validate`
    report = train(dataset, MODEL, config, data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert (report.epochs, report.best_epoch, report.validation_map_at_r) == (3, 1, 0.6)


@pytest.mark.parametrize(
    ("figures", "chosen"), [({0.5: 0.9, 0.35: 0.8}, 0.5), ({}, 1.0), ({1.4: 0.9, 2.0: 0.9}, 1.4)], ids=["best", "all", "two"]
)
def test_the_local_heads_weight_is_the_best_on_the_validation_classes_or_the_first_of_equals(
    dataset, tmp_path, monkeypatch, figures, chosen
):
    def judge(learner, merged) -> float:
        torch.testing.assert_close(merged.norm(dim=1), torch.ones(len(learner.val_rows)))
        return figures.get(round(learner.network.heads.weights[1].item(), 3), 0.1)

    monkeypatch.setattr(starting, "judge", judge)
    out = tmp_path / "out"
    train(dataset, MODEL, settings("frozen", epochs=0), data_md5=MD5, work=tmp_path / "work", out=out)
    network = load_network(NetworkSpec.from_json(read_json(out / "config.json")), out / "weights.safetensors")
    assert network.heads.weights.tolist() == pytest.approx([1.0, chosen])


@pytest.mark.parametrize(("start", "whitened"), [("method", True), ("whitened", True), ("random", False)])
def test_projections_start_where_the_setting_says(dataset, tmp_path, start, whitened):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen", epochs=0, start=start), **run)
    weight = load_file(tmp_path / "out" / "weights.safetensors")["heads.heads.global.projection.weight"]
    assert (weight[64:].abs().max().item() == 0) == whitened, "beyond the map's 64 channels a whitening has nothing to say"


def test_no_epochs_keep_the_heads_as_they_were_initialised(dataset, tmp_path):
    report = train(dataset, MODEL, settings("frozen", epochs=0), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert (report.epochs, report.best_epoch) == (0, 0)
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
    from model.data.manifest import write_manifest

    dataset = make_dataset(tmp_path / "data")
    write_manifest(dataset, [(f"images/0/{view}.png", "only", "train", None) for view in range(4)])
    for regime in REGIMES:
        with pytest.raises(InvalidInput, match="at least two classes"):
            train(dataset, MODEL, settings(regime), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")


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

"""Interrupted and killed trainings, which resume and end as the uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file

from model.errors import Terminated
from model.training import fold_trials
from model.training.train import train
from tests.support.training import (
    MD5,
    MODEL,
    MODES,
    SELECTING,
    at_step,
    figures,
    interrupted_at,
    killed_before_write,
    on_folds,
    same_as,
    same_training,
    settings,
    steps_taken,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", [1, 5], ids=["in the first epoch", "in the middle of the third"])
def test_an_interrupted_training_resumes_and_ends_as_the_uninterrupted(dataset, whole, tmp_path, monkeypatch, mode, step):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with monkeypatch.context() as patch:
        interrupted_at(patch, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, settings(mode), **run)
    assert not (tmp_path / "out").exists()
    said = []
    report = train(dataset, MODEL, settings(mode), progress=lambda done, total, what: said.append(what), **run)
    epochs = [text.partition(":")[0] for text in said if text.startswith("epoch ")]
    assert epochs == [f"epoch {number} of 4" for number in range(step // 2 + 1, 5)]
    assert same_as(whole, mode, report, tmp_path / "out")


@pytest.mark.parametrize("write", range(7))
def test_killed_between_any_two_checkpoints_it_ends_as_the_uninterrupted(dataset, whole, tmp_path, monkeypatch, write):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with monkeypatch.context() as patch:
        killed_before_write(patch, write)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, settings("frozen"), **run)
    report = train(dataset, MODEL, settings("frozen"), **run)
    assert same_as(whole, "frozen", report, tmp_path / "out")


@pytest.mark.parametrize("mode", MODES)
def test_interrupted_it_goes_on_after_the_last_step_on_record(dataset, whole, tmp_path, monkeypatch, mode):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    config = settings(mode, checkpoint_every=1)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 5, KeyboardInterrupt())  # the second step of the third epoch
        with pytest.raises(KeyboardInterrupt):
            train(dataset, MODEL, config, **run)
    taken = steps_taken(monkeypatch)
    report = train(dataset, MODEL, config, **run)
    assert taken == [5, 6, 7]
    assert same_as(whole, mode, report, tmp_path / "out")


SIGNALLED = """
import os, sys
from itertools import count
from model.training import epochs
from model.training.__main__ import main
from tests.support.training import small_heads

real, steps = epochs._set_rates, count()

def set_rates(*arguments):
    if next(steps) == int(sys.argv[1]):
        for name in sys.argv[2].split(","):
            os.kill(os.getpid(), int(name))
    real(*arguments)

epochs._set_rates = set_rates
with small_heads():
    sys.exit(main(sys.argv[3:]))
"""


def signalled(dataset, folder, model, config, step, *signals) -> subprocess.CompletedProcess[str]:
    """A training of its own that gets signals at the start of a step, counted over all trainings and epochs."""
    sections = {"model": model.model_dump(), "train": config.model_dump()}
    (folder / "run.yaml").write_text(json.dumps(sections))
    paths = [dataset, "--work", folder / "work", "--out", folder / "out", "--config", folder / "run.yaml", "--data-md5", MD5]
    command = [sys.executable, "-c", SIGNALLED, str(step), ",".join(str(int(some)) for some in signals), *paths]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_killed_in_mid_epoch_it_resumes_and_ends_as_the_uninterrupted(dataset, whole, tmp_path):
    killed = signalled(dataset, tmp_path, MODEL, settings("finetune"), 5, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    report = train(dataset, MODEL, settings("finetune"), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_as(whole, "finetune", report, tmp_path / "out")


def test_sigterm_ends_the_command_with_its_exit_code_and_one_line(dataset, tmp_path):
    ended = signalled(dataset, tmp_path, MODEL, settings("finetune"), 4, signal.SIGTERM)
    assert ended.returncode == 143
    assert "Stopped after 1 of 2 steps of epoch 3." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def end_self() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", [4, 5], ids=["in mid epoch", "at an epoch's last step"])
def test_sigterm_ends_it_after_the_step_at_hand_and_it_goes_on_there(dataset, whole, tmp_path, monkeypatch, step, mode):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with monkeypatch.context() as patch:
        at_step(patch, step, end_self)
        with pytest.raises(Terminated, match=f"Stopped after {step - 3} of 2 steps of epoch 3"):
            train(dataset, MODEL, settings(mode), **run)
    taken = steps_taken(monkeypatch)
    report = train(dataset, MODEL, settings(mode), **run)
    assert taken == list(range(step + 1, 8))
    assert same_as(whole, mode, report, tmp_path / "out")


def test_a_second_sigterm_ends_it_at_once(dataset, tmp_path):
    ended = signalled(dataset, tmp_path, MODEL, settings("frozen"), 4, signal.SIGTERM, signal.SIGTERM)
    assert ended.returncode == -signal.SIGTERM


def test_sigterm_means_afterwards_what_it_meant_before(dataset, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(dataset, MODEL, settings("frozen", epochs=1), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_trains_in_a_thread_where_signals_cannot_be_heard(dataset, whole, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
        report = pool.submit(train, dataset, MODEL, settings("frozen"), **run).result()
    assert same_as(whole, "frozen", report, tmp_path / "out")


def test_a_checkpoint_is_resumed_under_settings_that_change_only_how_it_runs(dataset, whole, tmp_path, monkeypatch):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen"), **run)
    taken = steps_taken(monkeypatch)
    train(dataset, MODEL, settings("frozen", chunk=2, checkpoint_every=3, workers=1, device="auto"), **run)
    assert not taken


def test_a_finished_training_is_not_repeated(dataset, tmp_path, monkeypatch):
    run = {"data_md5": MD5, "work": tmp_path / "work"}
    first = train(dataset, MODEL, settings("frozen"), out=tmp_path / "one", **run)
    monkeypatch.setattr(fold_trials, "train_epoch", None)
    assert train(dataset, MODEL, settings("frozen"), out=tmp_path / "two", **run) == first
    assert (tmp_path / "one" / "weights.safetensors").read_bytes() == (tmp_path / "two" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["best0", "last0"])
def test_without_one_of_its_checkpoints_it_begins_anew_and_ends_the_same(dataset, whole, tmp_path, name):
    """Else the last epoch would be stored, and the report would name the best one."""
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    train(dataset, MODEL, settings("frozen"), **run)
    (lost,) = (tmp_path / "work").rglob(f"{name}.safetensors")
    lost.unlink()
    report = train(dataset, MODEL, settings("frozen"), **run)
    assert same_as(whole, "frozen", report, tmp_path / "out")


@pytest.mark.parametrize("change", ["seed", "data"])
def test_other_settings_or_data_start_anew(dataset, tmp_path, change):
    run = {"work": tmp_path / "work", "out": tmp_path / "out"}
    first = train(dataset, MODEL, settings("frozen", epochs=1), data_md5=MD5, **run)
    before = load_file(tmp_path / "out" / "weights.safetensors")
    md5, seed = ("b" * 32, 1) if change == "data" else (MD5, 5)
    said = []

    def progress(done, total, what):
        said.append(what)

    second = train(dataset, MODEL, settings("frozen", epochs=1, seed=seed), data_md5=md5, progress=progress, **run)
    assert any(what.startswith("epoch ") for what in said)
    after = load_file(tmp_path / "out" / "weights.safetensors")
    if change == "data":  # the images are the same, only their name is not
        assert figures(second) == figures(first)
    else:
        assert any(not torch.equal(before[name], after[name]) for name in before)


STAGES = ("race", "folds", "all")


def first_step(stages: list[str], stage: str) -> int:
    """The number of the second step of the second epoch of a stage, counted over all trainings."""
    return stages.index(stage) + stages.count(stage) // 2 + 1


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_in_any_stage_a_selection_resumes_and_ends_as_the_uninterrupted(
    larger, selected, stages, tmp_path, monkeypatch, stage
):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    step = first_step(stages, stage)
    with monkeypatch.context() as patch:
        interrupted_at(patch, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(larger, SELECTING, on_folds(checkpoint_every=1), **run)
    assert not (tmp_path / "out").exists()
    taken = steps_taken(monkeypatch)
    report = train(larger, SELECTING, on_folds(), **run)
    assert len(taken) == len(stages) - step, "no step is taken twice"
    assert same_training((report, tmp_path / "out"), selected)


def test_a_selection_that_is_killed_resumes_and_ends_as_the_uninterrupted(larger, selected, stages, tmp_path):
    killed = signalled(larger, tmp_path, SELECTING, on_folds(), first_step(stages, "folds"), signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    report = train(larger, SELECTING, on_folds(), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert same_training((report, tmp_path / "out"), selected)


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_in_any_stage_ends_a_selection_after_the_step_at_hand(larger, selected, stages, tmp_path, monkeypatch, stage):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    step = first_step(stages, stage)
    with monkeypatch.context() as patch:
        at_step(patch, step, end_self)
        with pytest.raises(Terminated) as ended:
            train(larger, SELECTING, on_folds(), **run)
    assert ended.value.hint == "The same command goes on from there."
    taken = steps_taken(monkeypatch)
    report = train(larger, SELECTING, on_folds(), **run)
    assert len(taken) == len(stages) - step - 1
    assert same_training((report, tmp_path / "out"), selected)


@pytest.mark.parametrize(
    ("stage", "name", "write"),
    [
        ("race", "best0", 0),
        ("race", "last0", 5),
        ("folds", "last0", 0),
        ("folds", "last1", 0),
        ("folds", "last2", 0),
        ("folds", "best1", 0),
        ("folds", "last1", 1),
        ("folds", "best2", 1),
        ("all", "last", 0),
        ("all", "last", 1),
    ],
)
def test_killed_between_two_checkpoints_a_selection_ends_as_the_uninterrupted(
    larger, selected, tmp_path, monkeypatch, stage, name, write
):
    run = {"data_md5": MD5, "work": tmp_path / "work", "out": tmp_path / "out"}
    with monkeypatch.context() as patch:
        killed_before_write(patch, write, stage, name)
        with pytest.raises(KeyboardInterrupt):
            train(larger, SELECTING, on_folds(), **run)
    report = train(larger, SELECTING, on_folds(), **run)
    assert same_training((report, tmp_path / "out"), selected)


def test_a_finished_selection_is_not_repeated(larger, selected, tmp_path, monkeypatch):
    run = {"data_md5": MD5, "work": tmp_path / "work"}
    train(larger, SELECTING, on_folds(), out=tmp_path / "one", **run)
    taken = steps_taken(monkeypatch)
    report = train(larger, SELECTING, on_folds(chunk=2, workers=1), out=tmp_path / "two", **run)
    assert not taken
    assert same_training((report, tmp_path / "two"), selected)

"""A training in several processes of this machine by a setting, and what happens when one of them dies."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch
from safetensors.torch import load_file

from model.errors import GlocalError, InvalidInput
from model.training import processes
from model.training.order import TrainOrder
from model.training.processes import launch
from tests.support.datasets import make_dataset
from tests.support.training import MD5, MODEL, settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ordered(dataset, folder, count=2, mode="frozen", **changes) -> TrainOrder:
    train = settings(mode, processes=count, **{"classes_per_batch": 5, "images_per_class": 5, "ema": 0.5, **changes})
    return TrainOrder(dataset=dataset, model=MODEL, train=train, data_md5=MD5, work=folder / "work", out=folder / "out")


@pytest.fixture
def alone(dataset, tmp_path):
    """What one process gives."""
    order = ordered(dataset, tmp_path / "alone", 1)
    return launch(order), load_file(order.out / "weights.safetensors")


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    flat, apart = (torch.cat([some[name].flatten().float() for name in one]) for some in (one, other))
    return bool((apart - flat).norm() < 1e-4 * flat.norm())


@pytest.mark.integration
def test_two_processes_give_what_one_gives_and_tell_how_far_they_are(dataset, tmp_path, alone):
    said = []
    order = ordered(dataset, tmp_path)
    report = launch(order, lambda *given: said.append(given))
    assert report.validation_map_at_r == pytest.approx(alone[0].validation_map_at_r, abs=1e-4)
    assert close(alone[1], load_file(order.out / "weights.safetensors"))
    epochs = [text for _, total, text in said if not total and text.startswith("epoch ")]
    assert [text.partition(":")[0] for text in epochs] == [f"epoch {number} of 4" for number in range(1, 5)]


def workers() -> list[psutil.Process]:
    """The processes of the training that this process launched, in the order of their ranks."""
    children = psutil.Process().children()
    return sorted((each for each in children if "spawn_main" in " ".join(each.cmdline())), key=lambda each: each.pid)


def killing(rank: int, epoch: int, said: list[str]):
    """Progress that is kept in `said`, and at the end of an epoch kills a process, once."""

    def progress(done, total, what):
        said.append(what)
        if what.startswith(f"epoch {epoch} ") and not killed:
            killed.append(workers()[rank])
            killed[0].kill()

    killed = []
    return progress


@pytest.mark.integration
@pytest.mark.parametrize("rank", [0, 1], ids=["the first, which writes", "another"])
def test_a_killed_process_is_started_again_with_the_others_where_they_were(dataset, tmp_path, rank):
    said = []
    order = ordered(dataset, tmp_path, epochs=60, patience=60, rerank="never")
    report = launch(order, killing(rank, 2, said))
    numbers = [int(text.split()[1]) for text in said if text.startswith("epoch ")]
    assert numbers == sorted(set(numbers)), "no epoch was trained twice"
    assert numbers[:2] == [1, 2]
    assert numbers[-1] == report.epochs_done == 60
    assert sum(text.startswith("the trunk is frozen") for text in said) == 3, "two starts and the summary"


@pytest.mark.integration
def test_processes_that_die_again_and_again_end_it_in_a_line(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "RESTARTS", 0)
    with pytest.raises(GlocalError, match=r"^The processes of the training died 1 times: process \d ended") as refused:
        launch(ordered(dataset, tmp_path, epochs=1000, patience=1000, rerank="never"), killing(1, 2, []))
    assert "train.processes" in refused.value.hint


@pytest.mark.integration
def test_an_error_of_the_training_is_that_of_the_call(tmp_path):
    dataset = make_dataset(tmp_path / "data", splits={"train": 1, "test": 2})
    with pytest.raises(InvalidInput, match="at least two classes"):
        launch(ordered(dataset, tmp_path))


@pytest.mark.integration
def test_sigterm_to_the_whole_group_ends_it_after_a_step_and_the_same_command_resumes(dataset, tmp_path):
    places = ["--work", tmp_path / "work", "--out", tmp_path / "out", "--json"]
    named = {"epochs": 1000, "patience": 1000, "processes": 2, "classes_per_batch": 5, "images_per_class": 5, "rerank": "never"}
    chosen = [f"train.{name}={value}" for name, value in named.items()] + ["train.learning_rates=[0.0005]", "train.folds=1"]
    chosen += [f"model.{name}={value}" for name, value in MODEL.model_dump().items() if value is not None]
    command = [sys.executable, "-m", "model.training", dataset, *places, *(word for each in chosen for word in ("--set", each))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as training:
        for line in training.stderr:
            if line.startswith("epoch 2 "):
                os.killpg(training.pid, signal.SIGTERM)
                break
        left = training.stderr.read()
    assert training.returncode == 143, left
    assert "Stopped after" in left
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "work" / "training").glob("*/*/last0.safetensors")), "a checkpoint was left"


def test_several_machines_are_for_a_cluster(dataset, tmp_path):
    with pytest.raises(InvalidInput, match="cluster"):
        launch(ordered(dataset, tmp_path, 1, nodes=2))

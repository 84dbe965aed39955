"""Two processes that are one training, as torchrun starts them."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from model.config import TrainConfig
from model.errors import InvalidInput
from model.training.distributed import gather_rows, make_fabric, share
from model.training.train import train
from tests.support.datasets import make_dataset
from tests.support.training import MD5, MODEL, SELECTING, steps_taken

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]

MODELS = {"frozen": MODEL, "finetune": MODEL, "folds": SELECTING}
"""The models by mode; the last has a race, folds and a training on all classes."""


def settings(mode: str) -> TrainConfig:
    """Rates low enough that AdamW does not blow the rounding of near-zero gradients up; 25 images a batch do not halve."""
    some = {"epochs": 2, "warmup_epochs": 0, "classes_per_batch": 5, "images_per_class": 5, "workers": 1, "device": "cpu"}
    trunk, folds = ("frozen", 3) if mode == "folds" else (mode, 1)
    return TrainConfig(trunk=trunk, folds=folds, learning_rates=(3e-4,), ema=0.5, **some)


def test_shares_are_in_order_and_cover_everything_once():
    for size in (1, 7, 8):
        rows = []
        for rank in range(3):
            rows += range(*share(SimpleNamespace(global_rank=rank, world_size=3), size).indices(size))
        assert rows == list(range(size))


def test_alone_everything_is_ones_own():
    fabric = Fabric(accelerator="cpu")
    assert share(fabric, 5) == slice(0, 5)
    part = torch.ones(5, 2)
    assert gather_rows(fabric, part, 5) is part


def test_a_gpu_that_is_not_there_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="finds no GPU"):
        make_fabric(TrainConfig(device="cuda"))


PROGRAM = """
import os, sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from model.config import TrainConfig
from model.losses.hybrid import HybridLoss
from model.networks.heads import MultiHead, RetrievalNetwork
from model.networks.methods import METHODS
from model.networks.trunk import make_trunk
from model.training.distributed import make_fabric, share
from model.training.gradients import batch_gradients
from model.training.norms import freeze_statistics
from model.training.train import train
from tests.support.training import MD5, small_heads
from tests.unit.model.training.test_distributed import MODELS, settings

dataset, folder = map(Path, sys.argv[1:])

def gradients(fabric):
    torch.manual_seed(0)
    trunk = make_trunk("test_efficientnet", "none")
    network = RetrievalNetwork(trunk, MultiHead(trunk.channels, METHODS["multi_head"].architecture))
    freeze_statistics(network.train())
    loss = HybridLoss(METHODS["multi_head"].losses, network.heads.widths, 3)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    images = torch.randn(7, 3, 32, 32)[share(fabric, 7)]
    value = batch_gradients(fabric, list(network.parameters()), network, loss, (images,), labels, chunk=2)
    parts = {"network": network, "loss": loss}
    found = {f"{part}.{name}": p.grad for part, module in parts.items() for name, p in module.named_parameters()}
    return {"value": value, **{name: grad.contiguous() for name, grad in found.items() if grad is not None}}

fabric = make_fabric(TrainConfig(device="cpu"))
save_file(gradients(fabric), folder / f"gradients{fabric.global_rank}.safetensors")
for mode, model in MODELS.items():
    run = {"data_md5": MD5, "work": folder / "work", "out": folder / mode}
    with small_heads():
        report = train(dataset, model, settings(mode), progress=lambda *given: print(*given, flush=True), **run)
    assert report.epochs_done == 2
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), views=25)


def launched(processes, tmp_path, program, *arguments):
    (tmp_path / "program.py").write_text(program)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, tmp_path / "program.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as launcher:
        try:
            said = launcher.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            launcher.terminate()  # it ends the processes that it launched; killed, it would leave them behind
            raise
    return subprocess.CompletedProcess(command, launcher.returncode, *said)


@pytest.fixture(scope="module")
def both(dataset, tmp_path_factory):
    """The same program in one process and in two: where their results lie."""
    folders = []
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp(f"processes{processes}")
        done = launched(processes, folder, PROGRAM, dataset, folder)
        assert done.returncode == 0, done.stderr
        (folder / "said").write_text(done.stdout)
        folders.append(folder)
    return folders


@pytest.mark.integration
def test_gradients_of_two_processes_are_those_of_one(both):
    one, *others = (load_file(file) for folder in both for file in sorted(folder.glob("gradients*")))
    assert len(others) == 2
    assert any(name.startswith("network.trunk.") for name in one)
    for other in others:
        assert other.keys() == one.keys()
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max()) + 1e-7)
    assert all(torch.equal(value, others[1][name]) for name, value in others[0].items()), "the processes would drift apart"


@pytest.mark.integration
@pytest.mark.parametrize("mode", MODELS)
def test_a_training_in_two_processes_is_the_training_in_one(both, mode):
    reports = [json.loads((folder / mode / "training.json").read_text()) for folder in both]
    chosen = ("best_epoch", "learning_rate", "whole_heads", "merge_weights", "folds", "validation_classes", "validation_images")
    assert [reports[0][name] for name in chosen] == [reports[1][name] for name in chosen]
    for one, other in zip(*(report["history"] for report in reports), strict=True):
        assert other["map_at_r"] == pytest.approx(one["map_at_r"], abs=1e-4)
        assert (other["loss"] or 0) == pytest.approx(one["loss"] or 0, rel=1e-4)
    one, other = (load_file(folder / mode / "weights.safetensors") for folder in both)
    flat, apart = (torch.cat([some[name].flatten().float() for name in one]) for some in (one, other))
    assert (apart - flat).norm() < 1e-4 * flat.norm()


@pytest.mark.integration
def test_only_the_first_process_speaks_and_writes(both):
    said = [[line for line in (folder / "said").read_text().splitlines() if "loss" in line] for folder in both]
    assert len(said[0]) == len(said[1]) >= 2 * len(MODELS)
    names = [sorted(file.relative_to(folder / "work").as_posix() for file in (folder / "work").rglob("*")) for folder in both]
    assert names[0] == names[1]


STOPPED = """
import os, signal, sys
from itertools import count
from pathlib import Path

from model.errors import Terminated
from model.training import epochs
from model.training.train import train
from tests.support.training import MD5, MODEL, small_heads
from tests.unit.model.training.test_distributed import settings

real, steps = epochs._set_rates, count()

def set_rates(*arguments):
    if next(steps) == 6 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    real(*arguments)

epochs._set_rates = set_rates
dataset, folder = map(Path, sys.argv[1:])
try:
    with small_heads():
        train(dataset, MODEL, settings("frozen"), data_md5=MD5, work=folder / "work", out=folder / "out")
except Terminated as error:
    sys.stdout.write(f"{os.environ['RANK']} {error.headline}\\n")  # at once: two processes write here
"""


@pytest.mark.integration
def test_sigterm_to_one_process_ends_both_after_the_same_step_and_one_alone_goes_on(dataset, both, tmp_path, monkeypatch):
    done = launched(2, tmp_path, STOPPED, dataset, tmp_path)
    assert sorted(done.stdout.splitlines()) == [f"{rank} Stopped after 2 of 5 steps of epoch 2." for rank in (0, 1)], done.stderr
    taken = steps_taken(monkeypatch)
    report = train(dataset, MODEL, settings("frozen"), data_md5=MD5, work=tmp_path / "work", out=tmp_path / "out")
    assert taken == [7, 8, 9]
    expected = json.loads((both[0] / "frozen" / "training.json").read_text())
    assert report.validation_map_at_r == pytest.approx(expected["validation_map_at_r"], abs=1e-4)

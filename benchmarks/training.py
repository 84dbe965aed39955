"""Does the training loop keep up with the network, and does its memory stay as the data grow?

    python -m benchmarks.training --json

Speed: images per second of `train_epoch` (loader, gradients, clipping, optimiser, and checkpoints at their usual rate), divided
by those of the bare forward pass, loss, backward pass and step on tensors in memory, for the same network on the same device.
The two run in turns, in short rounds, for as long as `--seconds` says; the ratio is their median, with its interval.
With a frozen trunk, heads with attention are timed, which read maps. On a busy machine, `OMP_NUM_THREADS=1` keeps threads from
waiting for one another. Memory: see `benchmarks.peak_memory`.
A GPU adds rows for ResNet-50 at 224 pixels in bf16, not compiled and compiled.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.drawn_images import draw_data
from benchmarks.peak_memory import memory_ratio
from model.config import ModelConfig, TrainConfig
from model.data.manifest import read_manifest
from model.data.sampler import epoch_batches
from model.progress import print_progress
from model.training.candidates import candidates
from model.training.checkpoint import Counters, save_checkpoint
from model.training.distributed import make_fabric
from model.training.epochs import train_epoch
from model.training.folds import class_folds
from model.training.initialisation import finish_init, init_heads, project_once
from model.training.learner import Learner, make_learner
from model.training.training_data import open_data

LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Case:
    """One comparison: a network, its training, the number of images, and which of the training's candidates is run."""

    name: str
    model: ModelConfig
    train: TrainConfig
    images: int
    candidate: int = 0


def cases(cuda: bool) -> list[Case]:
    """The comparisons on this machine."""
    lite = ModelConfig(image_size=128)
    found = [
        Case("frozen", lite, TrainConfig(trunk="frozen", warmup_epochs=0), 768 if not cuda else 8192, candidate=-1),
        Case("finetune", lite, TrainConfig(trunk="finetune", warmup_epochs=0), 256 if not cuda else 8192),
    ]
    if cuda:
        resnet = ModelConfig(trunk="resnet50", weights="none", image_size=224)
        config = TrainConfig(trunk="finetune", warmup_epochs=0, precision="bf16", workers=12, ema=0.999)
        found += [
            Case("finetune resnet50 bf16", resnet, config, 8192),
            Case("finetune resnet50 bf16 compiled", resnet, config.model_copy(update={"compile": True}), 8192),
        ]
    return found


def compare(case: Case, dataset: Path, seconds: float) -> dict[str, Any]:
    """Images per second of the training loop and of the bare steps, measured in turns for the given time."""
    with tempfile.TemporaryDirectory() as work:
        fabric = make_fabric(case.train)
        manifest = read_manifest(dataset)
        data = open_data(
            manifest, case.model, case.train, data_md5=str(dataset), work=Path(work), progress=print_progress, fabric=fabric
        )
        learner = make_learner(data, class_folds(data.manifest, 1, 0)[0], candidates(data)[case.candidate], fabric)
        init_heads(learner, {})
        project_once(learner)
        finish_init(learner, learner.network.heads.named_weights)
        saving = _seconds(learner, lambda: save_checkpoint(Path(work) / "x", learner.modules, learner.optimizer, Counters(), ""))
        batches = _batches(learner)
        memory = [
            (inputs, _labels(learner, rows))
            for inputs, rows in zip(learner.augmented_batches(batches[:4], 0), batches, strict=False)
        ]

        def loop(epoch: int) -> float:
            counters = replace(Counters(), epoch=epoch % case.train.epochs)
            taken = _seconds(learner, lambda: train_epoch(learner, counters, lambda *_: None, lambda: False))
            return batches.size / (taken + saving * len(batches) / case.train.checkpoint_every)

        def bare(_: int) -> float:
            return batches.size / _seconds(learner, lambda: bare_steps(learner, memory, len(batches)))

        rounds = _paired_rounds(loop, bare, seconds, case.name)
    ratios = [one / other for one, other in rounds]
    return {
        "case": case.name,
        "rounds": len(rounds),
        "ours": median(one for one, _ in rounds),
        "bare": median(other for _, other in rounds),
        "ratio": median(ratios),
        "interval": _interval_of_median(ratios),
    }


def _paired_rounds(
    ours: Callable[[int], float], bare: Callable[[int], float], seconds: float, name: str
) -> list[tuple[float, float]]:
    """Measure both in every round, each first in every second round. The first round warms up and is left out."""
    rounds: list[tuple[float, float]] = []
    began = time.monotonic()
    while len(rounds) <= LEAST_ROUNDS or time.monotonic() < began + seconds:
        order = (ours, bare) if len(rounds) % 2 else (bare, ours)
        found = {side: side(len(rounds)) for side in order}
        rounds.append((found[ours], found[bare]))
        text = f"seconds of {name}: {found[ours]:.0f} to {found[bare]:.0f} images a second"
        print_progress(round(time.monotonic() - began), round(seconds), text)
    return rounds[1:]


def _interval_of_median(values: Sequence[float]) -> list[float]:
    """The 95 % percentile bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(np.asarray(values), size=(2000, len(values)))
    return [float(bound) for bound in np.quantile(np.median(drawn, axis=1), (0.025, 0.975))]


def bare_steps(learner: Learner, batches: list[tuple[tuple[Tensor, ...], Tensor]], steps: int) -> None:
    """Run forward pass, loss, backward pass and step, and nothing else."""
    learner.mode.set_training()
    for step in range(steps):
        inputs, labels = batches[step % len(batches)]
        with learner.fabric.autocast():
            embeddings = learner.embed(*inputs)
        loss = learner.loss(embeddings, labels)
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        learner.optimizer.step()


def _batches(learner: Learner) -> NDArray[np.int64]:
    config = learner.config
    shape = {"classes_per_batch": config.classes_per_batch, "images_per_class": config.images_per_class}
    return epoch_batches(learner.labels, **shape, seed=config.seed, epoch=0)


def _labels(learner: Learner, rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(learner.labels[rows]).to(learner.fabric.device)


def _seconds(learner: Learner, call: Callable[[], object]) -> float:
    _finish(learner)
    began = time.perf_counter()
    call()
    _finish(learner)
    return time.perf_counter() - began


def _finish(learner: Learner) -> None:
    if learner.fabric.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of standard output")
    parser.add_argument("--data", type=Path, help="folder with a manifest to train on, instead of drawn images")
    parser.add_argument("--seconds", type=float, default=120, help="time for each comparison; at least five rounds are run")
    parser.add_argument(
        "--memory-images", type=int, default=320, help="images of one times the data; 0 skips the memory measurement"
    )
    given = parser.parse_args()
    cuda = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        speeds, drawn = [], {}
        for case in cases(cuda):
            if not given.data and case.images not in drawn:
                drawn[case.images] = Path(folder) / f"speed{case.images}"
                drawn[case.images].mkdir()
                draw_data(drawn[case.images], case.images)
            speeds.append(compare(case, given.data or drawn[case.images], given.seconds))
        modes = ("frozen", "finetune") if given.memory_images else ()
        memory = [memory_ratio(mode, Path(folder), given.memory_images) for mode in modes]
    result = {
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads",
        "ratio_frozen": speeds[0]["ratio"],
        "interval_frozen": speeds[0]["interval"],
        "ratio_finetune": speeds[1]["ratio"],
        "interval_finetune": speeds[1]["interval"],
        "memory_ratio": max((row["ratio"] for row in memory), default=None),
        "speeds": speeds,
        "memory": memory,
    }
    print(json.dumps(result) if given.json else _table(result))


def _table(result: dict[str, Any]) -> str:
    lines = [f"on {result['device']}", "", "images a second        ours      bare   ratio (at least 0.95)     rounds"]
    lines += [
        f"{row['case']:<20}{row['ours']:>9.0f}{row['bare']:>10.0f}{row['ratio']:>8.3f}"
        f" [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}]{row['rounds']:>13}"
        for row in result["speeds"]
    ]
    lines += ["", "peak private MB      at 1x     at 10x   ratio (at most 1.2)"]
    lines += [
        f"{row['case']:<17}{row['mb']:>9.0f}{row['mb_at_ten_times']:>11.0f}{row['ratio']:>8.3f}" for row in result["memory"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

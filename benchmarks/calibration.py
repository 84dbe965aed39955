"""Verification's thresholds on test classes: what they give beside the false-accept rate that they state.

    python -m benchmarks.calibration --data photos --data drawings --seeds 4 --json

Half of a random choice of classes trains, the other half tests: the first half by name, so that the halves differ in kind where
names do (brands, alphabets), or a random half. Each threshold is set on held-out classes of the first half, once for similarities
as they are (`plain`) and once less the offsets of the cohort (`normalised`, which a release uses), and is counted on the second.
`error` is |ln(observed / stated)| of the false-accept rate, `best` the true-accept rate where it is exactly the stated one.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from safetensors.numpy import load_file

from benchmarks.methods import names_of, prepare, settings_of
from benchmarks.progress import TrialProgress, say
from benchmarks.trials import Bench
from model.claim import claim
from model.data.cache.feature_maps import known_maps
from model.data.importing.splits import zero_shot
from model.data.manifest import Manifest, read_manifest, write_manifest
from model.environment import Environment
from model.errors import GlocalError, InvalidInput
from model.evaluation.accept_rates import accept_figures, verification
from model.evaluation.calibration import FALSE_ACCEPT_RATES, calibrate
from model.evaluation.metrics import as_embedded
from model.networks.stored import NetworkSpec, load_network
from model.progress import Progress
from model.retrieval.cohort import COHORT, Cohort
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.schemas.figures import Bootstrap
from model.training.train import HELD_OUT, train

CLASSES, IMAGES = 50, 14
"""Most classes of a split, and most images of a class."""
SPLITS = ("by name", "random")
VALIDATION = 0.2


def draw_split(manifest: Manifest, kind: str, seed: int) -> Manifest:
    """Some classes of a manifest, half of which test; the others become distractors, so that the rows stay."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(manifest.classes))[:CLASSES]
    order = {label: f"{rng.random() if kind == 'random' else 0:.9f} {manifest.classes[label]}" for label in drawn.tolist()}
    sides = zero_shot(list(order.values()), VALIDATION)
    splits = np.full(len(manifest), "distractor", dtype="<U10")
    for label, name in order.items():
        rows = np.flatnonzero(manifest.labels == label)
        splits[rows[np.sort(rng.permutation(len(rows))[:IMAGES])]] = sides[name]
    columns = (manifest.paths, manifest.labels, splits, manifest.boxes)
    return Manifest(manifest.folder, *columns, manifest.classes, manifest.groups)


def measure(bench: Bench, kind: str, seed: int, progress: Progress) -> dict[str, dict[str, dict[str, float]]]:
    """Train on one split; the figures of each way of comparing, by stated rate."""
    manifest = draw_split(read_manifest(bench.dataset).classified, kind, seed)
    with tempfile.TemporaryDirectory(dir=bench.out) as folder:
        data, out = Path(folder) / "data", Path(folder) / "checkpoint"
        data.mkdir()
        for part in {Path(path).parts[0] for path in manifest.paths.tolist()}:
            (data / part).symlink_to(bench.dataset / part)
        names = [manifest.classes[label] for label in manifest.labels.tolist()]
        boxes = [manifest.box(row) for row in range(len(manifest))]
        write_manifest(data, zip(manifest.paths.tolist(), names, manifest.splits.tolist(), boxes, strict=True))
        settings = bench.train.model_copy(update={"seed": seed})
        shutil.rmtree(bench.work / "training", ignore_errors=True)  # a checkpoint is of one split
        train(data, bench.model, settings, data_md5=bench.md5, work=bench.work, out=out, progress=progress)
        return _counted(bench, manifest, out)


def _counted(bench: Bench, manifest: Manifest, checkpoint: Path) -> dict[str, dict[str, dict[str, float]]]:
    spec = NetworkSpec.load(checkpoint)
    network, rows = load_network(spec, checkpoint), manifest.rows("test")
    maps = known_maps(manifest, network.trunk, spec.image_size, bench.work, bench.md5)
    seen, found = manifest.select(rows), maps.select(rows) if maps else None
    vectors = embed_manifest(network.trunk, merged_embedding(network), seen, spec.image_size, maps=found)
    held_out, cohort = load_file(checkpoint / HELD_OUT), Cohort.load(checkpoint / COHORT)
    known = held_out["vectors"], held_out["labels"], held_out["folds"]
    ways = {"plain": (None, None), "normalised": (held_out["offsets"], cohort.offsets(vectors))}
    return {way: _figures(vectors, seen, calibrate(*known, before), after) for way, (before, after) in ways.items()}


def _figures(
    vectors: NDArray[np.float32], seen: Manifest, calibration: Any, offsets: NDArray[np.float32] | None
) -> dict[str, dict[str, float]]:
    thresholds = {rate: each.threshold for rate, each in calibration.verify.items()}
    counts = verification(as_embedded(vectors, seen.labels, seen.ids), calibrated=thresholds, offsets=offsets)
    figures = accept_figures(counts, counts, thresholds, Bootstrap(samples=100, confidence=0.95, seed=0), equal_error=True)
    if figures is None or not thresholds:
        raise InvalidInput("There are too few classes to set a threshold on, or to count at it.", "Name data of ten or more.")
    least = 0.5 / figures.impostors  # no pair was seen: the rate is taken for that of half a pair
    return {
        rate: {
            "false_accept": measured.false_accept.value,
            "true_accept": measured.true_accept.value,
            "error": abs(float(np.log(max(measured.false_accept.value, least) / float(rate)))),
            "best": figures.candidate.true_accept_at[rate].value if rate in figures.candidate.true_accept_at else float("nan"),
        }
        for rate, measured in figures.thresholds.items()
    }


def summary(runs: list[dict[str, dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """The mean of each figure over runs, and by how much `normalised` differs, with a 95 % bootstrap interval over runs."""
    drawn = np.random.default_rng(0).integers(0, len(runs), (2000, len(runs)))
    found: dict[str, Any] = {}
    for rate in map(str, FALSE_ACCEPT_RATES):
        table = {way: {name: np.array([run[way][rate][name] for run in runs]) for name in runs[0][way][rate]} for way in runs[0]}
        means = {way: {name: float(values.mean()) for name, values in row.items()} for way, row in table.items()}
        gaps = {name: table["normalised"][name] - table["plain"][name] for name in table["plain"]}
        found[rate] = {
            **means,
            "difference": {
                name: [float(gap.mean()), *np.quantile(gap[drawn].mean(axis=1), [0.025, 0.975]).tolist()]
                for name, gap in gaps.items()
            },
        }
    return found


def benchmark(
    data: Annotated[list[str], typer.Option(help="Folder with one folder for each class, or a CSV. May be repeated.")],
    seeds: Annotated[int, typer.Option(min=1, help="Number of splits of each kind.")] = 4,
    epochs: Annotated[int, typer.Option(min=0, help="Most epochs of a training; 0: the init.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, as section.key=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Compare verification's stated false-accept rates with those of unseen classes."""
    home = claim(Environment().home).benchmarks
    home.root.mkdir(parents=True, exist_ok=True)
    settings, progress = settings_of("frozen", None, epochs, set_ or ()), TrialProgress(len(data) * len(SPLITS) * seeds)
    found: dict[str, Any] = {}
    every = []
    for name, source in zip(names_of(data), data, strict=True):
        bench = prepare(source, name, settings, home, home.root, progress.progress)
        for kind in SPLITS:
            runs = [measure(bench, kind, seed, progress.progress) for seed in range(seeds)]
            found[f"{name}, {kind}"] = summary(runs)
            every += runs
            say(f"{name}, {kind}: {json.dumps(found[f'{name}, {kind}'])}")
    found["all"] = summary(every)
    print(json.dumps(found) if as_json else _table(found))


def _table(found: dict[str, Any]) -> str:
    lines = ["| data, split | rate | error | false accepts | true accepts | best |", "| --- | --- | --- | --- | --- | --- |"]
    for name, rates in found.items():
        for rate, row in rates.items():
            one, other = row["plain"], row["normalised"]
            cells = [f"{one[key]:.4g} / {other[key]:.4g}" for key in ("error", "false_accept", "true_accept", "best")]
            lines.append(f"| {name} | {rate} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Each figure: plain / normalised."])


def main() -> None:
    """Run the command line."""
    try:
        typer.run(benchmark)
    except GlocalError as error:
        say(f"Error: {error.headline}\n  {error.hint}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

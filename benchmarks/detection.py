"""Detection: enrol objects, find them in scenes, and compare what the heads add to keypoints alone.

    python -m benchmarks.detection --data cards --json       # a folder of scenes with boxes.csv
    python -m benchmarks.detection --data demo --json        # what `glocal data demo` drew: enrolled from product images

Scenes are sorted by name. With boxes alone, the boxes of even-numbered scenes are enrolled; with product images, those are.
Labels and scores are fitted to even-numbered scenes, never with exemplars cut from the scene itself. The figures are those of
the odd-numbered scenes.
Without --checkpoint the network is the offline trunk with whitened heads, fitted to a drawn catalogue; it saw none of the data.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from benchmarks.detection_data import DetectionData, read_detection_data
from model.config import ModelConfig, TrainConfig
from model.data.manifest import read_manifest, write_manifest
from model.demo.catalogue import draw_catalogue
from model.detection.calibration import fit_labelling
from model.detection.detector import Detector, Proposals
from model.detection.enrolling import enrol_objects
from model.detection.judging import Scene, judge_scenes
from model.detection.labelling import default_labelling
from model.detection.references import Describer
from model.errors import GlocalError
from model.evaluation.average_precision import SceneBoxes, detection_figures
from model.networks.stored import NetworkSpec, load_network
from model.schemas.labelling import Labelling, ScoreCalibration
from model.training.train import train

VARIANTS = {"both": ("global", "local", "places"), "classical": (), "global": ("global",), "local": ("local", "places")}
"""Features of heads that each variant reads beside the evidence of keypoints."""


def say(text: str) -> None:
    """Write a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def whitened_checkpoint(folder: Path) -> Path:
    """A network that is not trained on the data: the offline trunk, with heads whitened on a small drawn catalogue."""
    data, out = folder / "catalogue", folder / "checkpoint"
    draw_catalogue(data, products=16, views=8, scenes=0, seed=7)
    rows = read_manifest(_split(data))
    config = TrainConfig(trunk="frozen", epochs=0, folds=1, learning_rates=(1e-3,), rerank="never", device="cpu", workers=0)
    train(rows.folder, ModelConfig(), config, data_md5="7" * 32, work=folder / "work", out=out)
    return out


def _split(data: Path) -> Path:
    """Give the drawn images a side of the split each: the last four products are held out, the others train."""
    manifest = read_drawn(data)
    names = sorted({label for _, label in manifest})
    write_manifest(data, [(path, label, "val" if label in names[-4:] else "train", None) for path, label in manifest])
    return data


def read_drawn(data: Path) -> list[tuple[str, str]]:
    """Path and label of every drawn image of one product."""
    files = sorted((data / "images").rglob("*.jpg"))
    return [(file.relative_to(data).as_posix(), file.parent.name) for file in files]


def describer_of(checkpoint: Path) -> tuple[Describer, str]:
    """The network of a checkpoint or release folder as it describes objects, and its method."""
    spec = NetworkSpec.load(checkpoint)
    network = load_network(spec, checkpoint)
    network.trunk = network.trunk.folded()
    return Describer(network, spec.image_size), spec.method


class Clock:
    """CPU seconds of this process, and those that a describer took."""

    def __init__(self, describer: Describer) -> None:
        self.network = 0.0
        self._describe: Callable[[Any], Any] = describer.describe
        describer.describe = self._timed  # type: ignore[method-assign]

    def _timed(self, squares: Any) -> Any:
        began = time.process_time()
        found = self._describe(squares)
        self.network += time.process_time() - began
        return found


def measure(detector: Detector, clock: Clock, scenes: Sequence[Scene]) -> tuple[list[Proposals], float, float]:
    """The proposals of scenes, the seconds of a scene, and those of it that the network took."""
    found, images = [], [scene.load() for scene in scenes[:1]]
    detector.propose(images[0])  # once to warm up
    clock.network, total = 0.0, 0.0
    for scene in scenes:
        image: Tensor = scene.load()
        began = time.process_time()
        found.append(detector.propose(image))
        total += time.process_time() - began
    return found, total / len(scenes), clock.network / len(scenes)


def figures_of(
    detector: Detector, proposals: Sequence[Proposals], scenes: Sequence[Scene], labelling: Labelling
) -> dict[str, Any]:
    """AP50 with and without labels, with intervals."""
    found = [SceneBoxes.of([(each.label, each.box, each.score) for each in detector.decide(one, labelling)]) for one in proposals]
    truth = [SceneBoxes.of([(label, box, 1.0) for label, box in scene.truth]) for scene in scenes]
    measured = detection_figures(found, truth)
    rows: dict[str, Any] = {}
    for name, figure in {"ap50": measured.ap50, "ap50_unlabelled": measured.ap50_unlabelled}.items():
        rows |= {name: round(figure.value, 4), f"{name}_interval": [round(figure.lower, 4), round(figure.upper, 4)]}
    return rows


def compare(data: DetectionData, checkpoint: Path) -> dict[str, dict[str, Any]]:
    """The figures of every variant on the odd-numbered scenes."""
    describer, method = describer_of(checkpoint)
    clock = Clock(describer)
    began = time.process_time()
    exemplars = enrol_objects(data.samples(), describer)
    say(f"{method}: {len(exemplars)} exemplars of {len(exemplars.classes)} labels in {time.process_time() - began:.1f} s")
    detector = Detector(exemplars, describer, default_labelling(VARIANTS["both"]))
    judged = judge_scenes(detector, data.even)
    say(f"{len(judged)} even-numbered scenes judged; now the {len(data.odd)} odd-numbered ones")
    proposals, seconds, of_network = measure(detector, clock, data.odd)
    rows = {}
    for name, heads in VARIANTS.items():
        labelling = fit_labelling(judged, default_labelling(heads))
        took = seconds if heads else seconds - of_network
        rows[name] = {**figures_of(detector, proposals, data.odd, labelling), "scene_ms": round(1000 * took, 1)}
        if name == "both" and labelling.calibration:
            tell(labelling.calibration)
    return rows


def tell(calibration: ScoreCalibration) -> None:
    """Say what scores were worth on the even-numbered scenes."""
    for point in calibration.points:
        low, high = point.precision_interval
        say(f"  score {point.score:.2f}: precision {point.precision:.3f} [{low:.3f}, {high:.3f}], recall {point.recall:.3f}")


app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of scenes with boxes.csv, or of the drawn demonstration data")],
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a checkpoint or release; default: whitened heads")] = None,
    limit: Annotated[int, typer.Option(help="Maximum scenes; 0: all")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON")] = False,
) -> None:
    """Measure detection on a folder of scenes."""
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if checkpoint is None:
                say("No --checkpoint: tf_efficientnet_lite0 with offline weights, heads whitened on a drawn catalogue")
            rows = compare(read_detection_data(data, limit), checkpoint or whitened_checkpoint(Path(folder)))
    except GlocalError as error:
        say(str(error))
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        figures = f"AP50 {row['ap50']:.3f} {row['ap50_interval']}, boxes alone {row['ap50_unlabelled']:.3f}"
        print(f"{name:10} {figures}, {row['scene_ms']:.0f} ms")


if __name__ == "__main__":
    app()

"""Train on a data set, in one process or in several.

    python -m model.training DATASET --work WORK --out OUT --set train.trunk=finetune --set train.processes=4
    torchrun --nproc-per-node 4 -m model.training DATASET --work WORK --out OUT --set train.trunk=finetune

DATASET is a folder with a manifest, such as a folder in `$GLOCAL_HOME/datasets`. The first process writes progress to standard
error and the report to standard output. Exit codes: those of `glocal`, and 143 after SIGTERM.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError

from model.config import load_config
from model.data.manifest import read_manifest
from model.errors import GlocalError
from model.files import sha256_json
from model.progress import print_progress
from model.training.order import TrainOrder
from model.training.processes import launch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    given = _parser().parse_args(arguments)
    first = os.environ.get("RANK", "0") == "0"
    try:
        config = load_config(given.config, given.set)
        name = given.data_md5 or fingerprint(given.dataset)
        order = TrainOrder(
            dataset=given.dataset, model=config.model, train=config.train, data_md5=name, work=given.work, out=given.out
        )
        report = launch(order, print_progress)
    except GlocalError as error:
        print(f"{error.headline}\n  {error.hint}" if error.hint else error.headline, file=sys.stderr)
        return error.exit_code
    except (OSError, SafetensorError) as error:  # a full or read-only disk
        print(f"{error}\n  Make room, or choose another --work or --out; the same command resumes.", file=sys.stderr)
        return 1
    if first and given.json:
        print(report.model_dump_json())
    elif first:
        figure = f", validation MAP@R {report.validation_map_at_r:.4f}" if report.validation_classes else ""
        print(f"{report.outcome}{figure}: {given.out}")
    return 0


def fingerprint(dataset: Path) -> str:
    """A hash of a data set's samples and of the sizes and modification times of its files. It is quick to compute."""
    manifest = read_manifest(dataset)
    files = [(path, (dataset / path).stat()) for path in sorted(set(manifest.paths.tolist()))]
    return sha256_json(
        [manifest.ids.tolist(), manifest.labels.tolist(), manifest.splits.tolist()]
        + [[path, status.st_size, status.st_mtime_ns] for path, status in files]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.training", description="Train on a data set.")
    parser.add_argument("dataset", type=Path, help="folder with a manifest")
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="folder of checkpoints, feature maps and images; the same folder resumes a training",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the network and the report")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="one setting; may be repeated")
    parser.add_argument("--data-md5", help="hash that names the data; default: a hash of the folder's files")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The methods compared: same split, trunk, descriptor size, budget, augmentation and tuning effort for all.

    python -m benchmarks.methods --data photos                                  # the table; results.json and report.html
    python -m benchmarks.methods --data photos --trunk finetune --json          # the last line is {"methods": {NAME: {...}}}
    python -m benchmarks.methods --data photos --data drawings --methods multi_head --ablation --write-ablation docs/ablation.md

With a frozen trunk each method is tuned with seed 0 on the validation classes, and only then tested, on classes that neither
training nor tuning saw. A trunk that learns has one recipe for all. A finished cell is not run again: the same command goes on
where it was stopped.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from benchmarks.ablation import ablation_markdown
from benchmarks.cells import UNTRAINED, Bench, Cell, code_revision, drop_networks
from benchmarks.judging import judge_cell, judge_untrained, rerank_cell
from benchmarks.pace import Pace, say
from benchmarks.report import table, write_page
from benchmarks.summary import difference, over_seeds, row, untrained_row
from benchmarks.tuning import TUNED, choose, trials
from model.claim import claim
from model.config import RunConfig, load_config
from model.data.importing.pinning import pin_dataset
from model.data.versions.fetch import fetch
from model.environment import Environment
from model.errors import GlocalError, InvalidInput
from model.files import write_json, write_text
from model.home import Home
from model.locks import hold
from model.networks.methods import ABLATIONS, METHODS, get_method
from model.progress import Progress

REGIMES = {"frozen": (), "finetune": ("model.image_size=128", "train.epochs=3")}
"""What a regime changes of the defaults: a trunk that learns costs more, so it sees smaller images, fewer times."""

_TUNING = "another grid in benchmarks/tuning.py"
DECIDED = {
    "model.method": "--methods",
    "train.trunk": "--trunk",
    "train.seed": "--seeds",
    "train.start": _TUNING,
    "train.learning_rate": _TUNING,
    "train.proxy_learning_rate": _TUNING,
}
"""Settings that are each cell's own, and where they are decided."""


def compare(bench: Bench, methods: Sequence[str], seeds: int, pace: Pace, *, reranking: bool) -> dict[str, Any]:
    """All methods on one data set.

    Returns:
        `methods`, a row each with the untrained trunk first; `curves`, the validation MAP@R by epoch of each seed; and `test`,
        what was tested on.
    """
    untrained = judge_untrained(bench, pace.progress)
    rows: dict[str, dict[str, Any]] = {UNTRAINED: untrained_row(untrained)}
    curves: dict[str, list[list[float]]] = {}
    tested: dict[str, list[Cell | None]] = {UNTRAINED: [None]}
    for method in methods:
        recipe, tried = choose(bench, method, pace.run)
        cells = [Cell(method, recipe, seed) for seed in range(seeds)] if recipe else []
        trained = {cell: pace.run(bench, cell) for cell in cells}
        finished = {cell: one for cell, one in trained.items() if "error" not in one}
        if not finished or not recipe:
            rows[method] = {"error": "The loss diverged under every recipe or seed.", "tried": tried}
            continue
        found = row(list(finished.values()), [judge_cell(bench, cell, pace.progress) for cell in finished])
        rows[method] = {**found, "recipe": vars(recipe), "tried": tried}
        if reranking:
            rows[method]["reranked"] = _reranked(rerank_cell(bench, next(iter(finished)), pace.progress), found["query_ms"])
        drop_networks(bench, cells)
        curves[method] = [[epoch["map_at_r"] for epoch in one["history"]] for one in finished.values()]
        tested[method] = list(finished)
    if reference := tested.get(TUNED):
        against = over_seeds(bench, reference)
        for method in tested.keys() - {TUNED}:
            rows[method]["difference"] = difference(over_seeds(bench, tested[method]), against)
    return {"methods": rows, "curves": curves, "test": {name: untrained[name] for name in ("queries", "classes")}}


def _reranked(found: dict[str, Any] | None, query_ms: float) -> dict[str, Any] | None:
    if found is None:
        return None
    extra = found.pop("extra_ms")
    return {**found, "query_ms": round(query_ms + extra, 2)}


def planned(methods: Sequence[str], regime: str, seeds: int) -> int:
    """How many cells that takes: each is trained once, whether as a trial, as a seed or as both."""
    tried = {cell for method in methods for cell in trials(method, regime)}
    return len(tried) + sum(seeds - any(cell.method == method for cell in tried) for method in methods)


def prepare(data: str, name: str, settings: RunConfig, home: Home, out: Path, progress: Progress) -> Bench:
    """Import a data set as the project does, and pin what is compared on."""
    report = pin_dataset(data, name, home.data, settings.data, progress=progress)
    for message in report.messages:
        say(f"{name}: {message}")
    if report.classes.get("val", 0) < 2:
        say(f"{name}: fewer than two validation classes, so no recipe and no epoch can be told from another.")
        say("  Seven classes are needed at least.")
    folder = fetch(report.pin, home.data, home.datasets)
    return Bench(name, folder, report.pin.md5, settings.model, settings.train, home.work, out)


def selected(names: Sequence[str], ablation: bool) -> list[str]:
    """The methods asked for, each once; with an ablation comes the method that it changes.

    Raises:
        InvalidInput: There is none of that name.
    """
    asked = [name.strip() for part in names for name in part.split(",") if name.strip()] or list(METHODS)
    wanted = dict.fromkeys([*asked, *(ABLATIONS if ablation else ())])
    for name in wanted:
        get_method(name)
    first = [TUNED] if TUNED in wanted or wanted.keys() & ABLATIONS.keys() else []
    return list(dict.fromkeys([*first, *wanted]))


def names_of(data: Sequence[str]) -> list[str]:
    """What the data sets are called, from where they lie: a folder's name, or its parent's where that says nothing."""
    names: list[str] = []
    for source in data:
        parts = [part for part in Path(source).absolute().parts if part not in {"images", "data", "/"}]
        name = re.sub(r"[^A-Za-z0-9._-]", "-", parts[-1] if parts else "").lstrip(".")[:60] or "data"
        names.append(f"{name}-{len(names) + 1}" if name in names else name)
    return names


def command_line() -> str:
    """The command that is running, paths as seen from here."""
    arguments = [os.path.relpath(each) if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks.methods", *arguments])


def settings_of(trunk: str, image_size: int | None, epochs: int | None, changes: Sequence[str]) -> RunConfig:
    """The defaults, the regime's, the flags, then what `--set` says.

    Raises:
        InvalidInput: `--set` of what the benchmark decides itself, or of what does not exist.
    """
    for change in changes:
        if (name := change.partition("=")[0]) in DECIDED:
            raise InvalidInput(f"--set {name} is not for a comparison to be told.", f"Use {DECIDED[name]}.")
    flags = {"model.image_size": image_size, "train.epochs": epochs}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    return load_config(None, ["data.leaks=drop", f"train.trunk={trunk}", *REGIMES[trunk], *given, *changes])


def benchmark(
    data: Annotated[list[str], typer.Option(help="A folder of one folder a class, or a CSV. May be repeated.")],
    methods: Annotated[list[str] | None, typer.Option(help="Names, with commas or repeated; default: all.")] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Also multi_head with one thing changed each.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method under its recipe.")] = 3,
    trunk: Annotated[Literal["frozen", "finetune"], typer.Option(help="Whether the trunk learns as well.")] = "frozen",
    image_size: Annotated[int | None, typer.Option(help="Pixels; default 160, finetuned 128.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Default: the configuration's; finetuned 3.")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Also re-rank a sample by local features; takes minutes.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting of data, model or train.")] = None,
    out: Annotated[Path | None, typer.Option(help="Receives results.json, report.html and the cells.")] = None,
    write_ablation: Annotated[Path | None, typer.Option(help="Run the ablation and write it as Markdown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line of standard output.")] = False,
) -> None:
    """Compare the methods on the test classes of one or several data sets."""
    home = claim(Environment().home).benchmarks
    out = (out or home.root / "results").absolute()
    chosen = selected(methods or (), ablation or write_ablation is not None)
    (out / "cells").mkdir(parents=True, exist_ok=True)  # now rather than after the first training
    settings = settings_of(trunk, image_size, epochs, set_ or ())
    # Two at a time would measure each other.
    with hold(home.root / ".lock", waiting=lambda: say("waiting for another benchmark to end")):
        pace = Pace(planned(chosen, trunk, seeds) * len(data))
        found: dict[str, dict[str, Any]] = {}
        for name, source in zip(names_of(data), data, strict=True):
            bench = prepare(source, name, settings, home, out, pace.progress)
            found[name] = {"md5": bench.md5, **compare(bench, chosen, seeds, pace, reranking=rerank)}
    results = {
        "data": found,
        "command": command_line(),
        "code_revision": code_revision(),
        "settings": {"model": settings.model.model_dump(), "train": settings.train.model_dump()},
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "cuda": torch.cuda.is_available()},
    }
    write_json(out / "results.json", results)
    write_page(out / "report.html", results)
    if write_ablation:
        write_text(write_ablation, ablation_markdown(results))
    say(f"written to {out}: results.json, report.html")
    print(json.dumps(answer(results)) if as_json else table(results))


def answer(results: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints: the first data set's rows, and where there are several those of each."""
    rows = {name: {"methods": found["methods"]} for name, found in results["data"].items()}
    first = next(iter(rows.values()))
    return first if len(rows) == 1 else {**first, "data": rows}


def main() -> None:
    """Run the command line."""
    try:
        typer.run(benchmark)
    except GlocalError as error:
        for finding in getattr(getattr(error, "findings", None), "defects", [])[:20]:
            say(f"  {finding}")
        say(f"Error: {error.headline}\n  {error.hint}")
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"Error: {error}\n  Choose another --out, or make room.")
        sys.exit(1)


if __name__ == "__main__":
    main()

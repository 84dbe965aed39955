"""The methods compared: same split, trunk, descriptor size, budget, augmentation and selection for all.

    python -m benchmarks.methods --data photos                                  # the table; results.json and report.html
    python -m benchmarks.methods --data photos --trunk finetune --json          # the last line is {"methods": {NAME: {...}}}
    python -m benchmarks.methods --data photos --data drawings --methods multi_head --ablation --write-ablation docs/ablation.md

Each method's settings are selected with seed 0 on held-out classes, as `glocal run` selects them; then it is evaluated on test
classes that neither training nor selection read. Finished trials are not run again: the same command resumes.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from benchmarks.ablation import ablation_markdown
from benchmarks.progress import TrialProgress, say
from benchmarks.report import table, write_page
from benchmarks.summary import difference, mean_ranks, over_seeds, row, untrained_row
from benchmarks.tested_trials import evaluate_trial, evaluate_untrained, rerank_trial
from benchmarks.trials import REFERENCE, UNTRAINED, Bench, Trial, choice_of, code_revision, drop_networks
from model.claim import claim
from model.config import RunConfig, load_config
from model.data.importing.dataset_name import default_name
from model.data.importing.pinning import pin_dataset
from model.data.versions.fetch import fetch
from model.environment import Environment
from model.errors import GlocalError, InvalidInput
from model.files import write_json, write_text
from model.home import Home
from model.locks import hold
from model.networks.methods import ABLATIONS, METHODS, get_method
from model.progress import Progress

TRUNK_SETTINGS = {"frozen": (), "finetune": ("model.image_size=128", "train.epochs=3")}
"""Defaults for each value of train.trunk: a finetuned trunk costs more, so it gets smaller images and fewer epochs."""

DECIDED = {"model.method": "--methods", "train.trunk": "--trunk", "train.seed": "--seeds", "train.rerank": "--rerank"}
"""Settings that the benchmark chooses for each trial, and where to change them."""
BESIDE = ("global_only",)
"""Ablations in the main table: the second head must earn its place beside one head alone."""


def compare(bench: Bench, methods: Sequence[str], seeds: int, progress: TrialProgress, *, reranking: bool) -> dict[str, Any]:
    """Compare methods on one data set.

    Returns:
        `methods`: a row for each method, the untrained trunk first. `curves`: seed 0's held-out MAP@R by epoch.
        `test`: the number of test queries and classes.
    """
    untrained = evaluate_untrained(bench, progress.progress)
    rows: dict[str, dict[str, Any]] = {UNTRAINED: untrained_row(untrained)}
    curves: dict[str, list[float]] = {}
    tested: dict[str, list[Trial | None]] = {UNTRAINED: [None]}
    for method in methods:
        trials = [Trial(method, seed) for seed in range(seeds)]
        trained = {trial: progress.run(bench, trial) for trial in trials}
        finished = {trial: one for trial, one in trained.items() if "error" not in one}
        if not finished:
            rows[method] = {"error": "The loss diverged."}
            continue
        found = row(list(finished.values()), [evaluate_trial(bench, trial, progress.progress) for trial in finished])
        rows[method] = {**found, "chosen": _chosen(next(iter(trained.values())))}
        if reranking:
            rows[method]["reranked"] = _reranked(rerank_trial(bench, next(iter(finished)), progress.progress), found["query_ms"])
        drop_networks(bench, trials)
        curves[method] = [epoch["map_at_r"] for epoch in trained[trials[0]]["history"]]
        tested[method] = list(finished)
    if reference := tested.get(REFERENCE):
        against = over_seeds(bench, reference)
        for method in tested.keys() - {REFERENCE}:
            rows[method]["difference"] = difference(over_seeds(bench, tested[method]), against)
    return {"methods": rows, "curves": curves, "test": {name: untrained[name] for name in ("queries", "classes")}}


def _chosen(trained: dict[str, Any]) -> dict[str, Any]:
    """What seed 0 chose, as a row has it."""
    choice = choice_of(trained)
    return {**vars(choice.candidate), "epochs": choice.epochs, "weights": choice.weights}


def _reranked(found: dict[str, Any] | None, query_ms: float) -> dict[str, Any] | None:
    if found is None:
        return None
    extra = found.pop("extra_ms")
    return {**found, "query_ms": round(query_ms + extra, 2)}


def prepare(data: str, name: str, settings: RunConfig, home: Home, out: Path, progress: Progress) -> Bench:
    """Import a data set as `glocal data import` does, and fetch the pinned version."""
    report = pin_dataset(data, name, home.data, settings.data, progress=progress)
    for message in report.messages:
        say(f"{name}: {message}")
    validating, training = (report.classes.get(split, 0) for split in ("val", "train"))
    if (validating < 2) if settings.train.fold_count == 1 else (training + validating < 4):
        say(f"{name}: there are too few classes to hold any out, so settings and epochs cannot be compared.")
        say("  At least seven classes are needed.")
    folder = fetch(report.pin, home.data, home.datasets)
    return Bench(name, folder, report.pin.md5, settings.model, settings.train, home.work, out)


def selected(names: Sequence[str], ablation: bool) -> list[str]:
    """The methods to compare, each once. An ablation adds the method that it changes.

    Raises:
        InvalidInput: There is none of that name.
    """
    asked = [name.strip() for part in names for name in part.split(",") if name.strip()] or [*METHODS, *BESIDE]
    wanted = dict.fromkeys([*asked, *(ABLATIONS if ablation else ())])
    for name in wanted:
        get_method(name)
    first = [REFERENCE] if REFERENCE in wanted or wanted.keys() & ABLATIONS.keys() else []
    return list(dict.fromkeys([*first, *wanted]))


def names_of(data: Sequence[str]) -> list[str]:
    """Names of the data sets, from their paths. A name that is taken gets a number."""
    names: list[str] = []
    for source in data:
        name = default_name(source)[:60]
        names.append(f"{name}-{len(names) + 1}" if name in names else name)
    return names


def command_line() -> str:
    """The running command, with paths relative to the current folder."""
    arguments = [os.path.relpath(each) if each.startswith("/") else each for each in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks.methods", *arguments])


def settings_of(
    trunk: str, image_size: int | None, epochs: int | None, changes: Sequence[str], *, rerank: bool = False
) -> RunConfig:
    """The settings: defaults, then those of the trunk mode, then flags, then `--set`.

    Raises:
        InvalidInput: `--set` names a setting that the benchmark chooses itself, or an unknown one.
    """
    for change in changes:
        if (name := change.partition("=")[0]) in DECIDED:
            raise InvalidInput(f"--set {name} is chosen by the benchmark itself.", f"Use {DECIDED[name]}.")
    flags = {"model.image_size": image_size, "train.epochs": epochs}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    decided = ["data.leaks=drop", f"train.trunk={trunk}", f"train.rerank={'auto' if rerank else 'never'}"]
    return load_config(None, [*decided, *TRUNK_SETTINGS[trunk], *given, *changes])


def benchmark(
    data: Annotated[list[str], typer.Option(help="Folder with one folder for each class, or a CSV. May be repeated.")],
    methods: Annotated[
        list[str] | None, typer.Option(help="Method names, separated by commas or repeated; default: all.")
    ] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Also compare multi_head with one part changed in each.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Number of trainings of each method with what seed 0 chose.")] = 3,
    trunk: Annotated[Literal["frozen", "finetune"], typer.Option(help="Whether the trunk is trained too.")] = "frozen",
    image_size: Annotated[int | None, typer.Option(help="Side of the input in pixels; default 160, finetuned 128.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs; default: that of the configuration, finetuned 3.")] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Also re-rank a sample of queries by local features; takes minutes.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting of data, model or train, as section.key=value.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that receives results.json, report.html and the trials.")] = None,
    write_ablation: Annotated[
        Path | None, typer.Option(help="Also run the ablation, and write it to this Markdown file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Compare the methods on the test classes of one or several data sets."""
    home = claim(Environment().home).benchmarks
    out = (out or home.root / "results").absolute()
    chosen = selected(methods or (), ablation or write_ablation is not None)
    (out / "trials").mkdir(parents=True, exist_ok=True)  # fails now, not after the first training
    settings = settings_of(trunk, image_size, epochs, set_ or (), rerank=rerank)
    # Two benchmarks at a time would disturb each other's timings.
    with hold(home.root / ".lock", waiting=lambda: say("waiting for another benchmark to end")):
        progress = TrialProgress(len(chosen) * seeds * len(data))
        found: dict[str, dict[str, Any]] = {}
        for name, source in zip(names_of(data), data, strict=True):
            bench = prepare(source, name, settings, home, out, progress.progress)
            found[name] = {"md5": bench.md5, **compare(bench, chosen, seeds, progress, reranking=rerank)}
    results = _write_results(out, found, settings)
    if write_ablation:
        write_text(write_ablation, ablation_markdown(results))
    say(f"written to {out}: results.json, report.html")
    print(json.dumps(answer(results)) if as_json else table(results))


def _write_results(out: Path, found: dict[str, dict[str, Any]], settings: RunConfig) -> dict[str, Any]:
    """Write results.json and report.html; returns the results."""
    results = {
        "data": found,
        "mean_rank": mean_ranks([one["methods"] for one in found.values()]),
        "command": command_line(),
        "code_revision": code_revision(),
        "settings": {"model": settings.model.model_dump(), "train": settings.train.model_dump(mode="json")},
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "cuda": torch.cuda.is_available()},
    }
    write_json(out / "results.json", results)
    write_page(out / "report.html", results)
    return results


def answer(results: dict[str, Any]) -> dict[str, Any]:
    """The object that `--json` prints: the rows of the first data set and, where there are several, the rows of each."""
    rows = {name: {"methods": found["methods"]} for name, found in results["data"].items()}
    first = next(iter(rows.values()))
    return first if len(rows) == 1 else {**first, "data": rows, "mean_rank": results["mean_rank"]}


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

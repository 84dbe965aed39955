"""The training of a registered version repeated: what is needed for it, and whether its figures and embeddings agree.

A version whose gallery alone was changed has the network of the version that was trained, so that one is repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from model.config import RunConfig, load_config, parse_config
from model.errors import Conflict, GlocalError, InvalidInput, NotFound
from model.evaluation.report import REPORT
from model.release import Release, open_release
from model.schemas.model_version import ModelVersion
from model.schemas.promotion_plan import FigureChange
from model.schemas.report import Report
from model.schemas.reproduction import Reproduction
from model.schemas.run_record import RunRecord
from model.schemas.train_report import Machine
from serving.deployment import fetched_release
from serving.evidence import report_of, run_of, trained_version
from serving.planning import changed_text
from serving.registry.commit import changed_since
from serving.registry.models import Registry
from serving.registry.runs import Runs

TOLERANCE = 1e-6
"""Largest difference of a figure, or of an element of an embedding, that counts as agreement."""
_ROWS = 65_536
"""Embeddings that are compared at a time."""


@dataclass(frozen=True)
class Original:
    """A version that was trained, with what its run left on record.

    Attributes:
        version: The version.
        run: The pipeline run that made it.
        report: The report on it.
    """

    version: ModelVersion
    run: RunRecord
    report: Report

    @property
    def config(self) -> RunConfig:
        """The settings of its training. The gallery is searched entry by entry: figures and embeddings do not depend on it.

        Raises:
            InvalidInput: This code has no such setting any more.
        """
        given = [f"{name}={text}" for name, text in self.run.params.items() if name.startswith("index.")]
        try:
            config = parse_config({**self.report.settings, "index": load_config(None, given).index.model_dump()})
        except InvalidInput as error:
            commit = f": commit {self.run.git_commit}" if self.run.git_commit else f", revision {self.version.code_revision}"
            raise InvalidInput(
                f"{self.version.label} was trained with settings that this code does not have: {error.headline}",
                f"Use the code that trained it{commit}.",
            ) from error
        index_settings = config.index.model_copy(update={"gallery": "flat"})
        train = config.train.model_copy(update={"device": self.device or config.train.device})
        return config.model_copy(update={"index": index_settings, "train": train})

    @property
    def machine(self) -> Machine | None:
        """The machine that trained it; None in old records."""
        return self.report.training.machine

    @property
    def device(self) -> Literal["cpu", "cuda"] | None:
        """The device that trained it; None if the record does not say."""
        training = self.report.training
        if training.machine:
            return training.machine.device
        return "cuda" if training.trunk_asked == "auto" and training.trunk == "finetune" else None


def find_original(tracking_uri: str, name: str, version: str) -> Original:
    """The version that was trained, of which a version has the network.

    Args:
        tracking_uri: Address of the registry.
        name: Name of the registered model.
        version: The version.

    Raises:
        NotFound: There is no such version, or its run or report is not on record.
        InvalidInput: The report is damaged.
    """
    registry, runs = Registry(tracking_uri, name), Runs(tracking_uri)
    trained = trained_version(registry, registry.version(version))
    run = run_of(runs, trained)
    if run is None or not run.kind:  # the registry keeps a run of its own with what was registered without one
        raise NotFound(
            f"No run is on record that trained {trained.label}, so its settings are not known.",
            "Versions that glocal run registered can be repeated.",
        )
    return Original(trained, run, report_of(registry, runs, trained))


def refuse_without_gpu(original: Original, *, gpu: bool) -> None:
    """Refuse to repeat a GPU's training on a CPU: trunk, precision and sums would be other ones. A CPU's is repeated on the CPU.

    Args:
        original: The version.
        gpu: Whether this machine has a GPU.

    Raises:
        Conflict: The version was trained on a GPU, and there is none.
    """
    if original.device == "cuda" and not gpu:
        raise Conflict(
            f"{original.version.label} was trained on {original.machine or 'a GPU'}; without a GPU nothing can be compared.",
            "Repeat it on such a machine.",
        )


def compare_reproduction(tracking_uri: str, name: str, version: str, release: Path, report: Path) -> Reproduction:
    """Compare a repeated training with the version.

    Args:
        tracking_uri: Address of the registry.
        name: Name of the registered model.
        version: The version, which was trained.
        release: Folder of the release that the repeated training gave.
        report: Folder of the report on it.

    Raises:
        NotFound: There is no such version, or its run or report is not on record.
        InvalidInput: The release or a report is damaged.
    """
    original = find_original(tracking_uri, name, version)
    repeated, found = open_release(release), Report.load(report / REPORT)
    figures = _changes(_figures(original.report), _figures(found))
    largest = max(abs((figure.after or 0.0) - (figure.before or 0.0)) for figure in figures.values())
    notes = list(_causes(original, repeated, found))
    compared, difference = 0, None
    try:
        with fetched_release(Registry(tracking_uri, name), original.version.version) as stored:
            compared, difference = _compared(stored, repeated)
    except GlocalError as error:
        notes.append(f"Embeddings are not compared: {error.headline}")
    return Reproduction(
        model=name,
        version=original.version.version,
        release=original.version.release,
        repeated=repeated.id,
        data=repeated.pin,
        agrees=largest <= TOLERANCE and (difference is None or difference <= TOLERANCE),
        tolerance=TOLERANCE,
        same_weights=original.version.embedding_space_id == repeated.embedding_space_id,
        figures=figures,
        figures_difference=largest,
        embeddings=compared,
        embeddings_difference=difference,
        code=changed_text(original.version.code_revision, repeated.manifest.code_revision),
        changed_files=changed_since(original.run.git_commit) or (),
        machine=found.training.machine,
        notes=tuple(notes),
    )


def _figures(report: Report) -> dict[str, float]:
    """The figures on the test classes, and those of the untrained trunk."""
    retrieval = report.retrieval
    untrained = {f"untrained_{name}": figure.value for name, figure in retrieval.untrained.items()}
    return {name: figure.value for name, figure in retrieval.figures.items()} | untrained


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, FigureChange]:
    """The figures that both have."""
    return {name: FigureChange(before=value, after=after[name]) for name, value in before.items() if name in after}


def _compared(one: Release, other: Release) -> tuple[int, float]:
    """The number of images in two galleries, and the largest difference of an element of their embeddings.

    Raises:
        Conflict: The galleries do not hold the same images, or their embeddings have other lengths.
    """
    ids, others = (release.gallery.entries.ids.as_array() for release in (one, other))
    lengths = [release.spec.architecture.dimensions for release in (one, other)]
    if not np.array_equal(ids, others) or lengths[0] != lengths[1]:
        raise Conflict("The galleries do not hold the same images, or their embeddings have other lengths.")
    largest = 0.0
    for start in range(0, len(ids), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(ids)))
        change = one.gallery.embeddings(rows).astype(np.float64) - other.gallery.embeddings(rows)
        largest = max(largest, float(np.abs(change).max()))
    return len(ids), largest


def _causes(original: Original, repeated: Release, found: Report) -> list[str]:
    """What may make a repeated training differ, in sentences."""
    causes, before, after = list[str](), original.machine, found.training.machine
    if before is None:
        causes.append(f"The record of {original.version.label} does not say which machine trained it.")
    elif before != after:
        causes.append(f"It was trained on {before}, and repeated on {after}: sums may be rounded otherwise.")
    elif before.device == "cuda":
        causes.append("A GPU rounds sums otherwise from run to run.")
    if original.version.code_revision != repeated.manifest.code_revision:
        commit, changed = original.run.git_commit, changed_since(original.run.git_commit)
        if changed is None:
            causes.append("How the code differs is not known: this checkout has no commit of the version's run.")
        elif not changed:
            causes.append(f"The code is that of commit {commit[:12]}, so the version was trained with uncommitted changes.")
    return causes

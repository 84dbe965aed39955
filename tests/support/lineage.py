"""Registered versions with all that a pipeline run leaves on record, without a run: data, settings, report, decision."""

from pathlib import Path

import numpy as np

from model.config import DataConfig, ServeConfig, load_config
from model.data.importing.pinning import pin_dataset
from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch
from model.evaluation.metrics import evaluate_retrieval
from model.home import Home
from model.release import Release, seal_release
from model.schemas.approval import ApprovalRule
from model.schemas.data_pin import DataPin
from model.schemas.run_record import RunRecord
from pipelines.provenance import run_params
from serving.promotion import register_release
from serving.registry.models import Registry
from serving.registry.records import COMMIT, KIND, USER
from serving.registry.runs import Runs
from tests.support.promotions import write_evidence
from tests.support.releases import make_parts
from tests.support.sources import make_source

NAME = "drawn"
EIGHT = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")


def pin_drawn(home: Home, root: Path, *, shots: int = 3, **settings: object) -> DataPin:
    """A version of a data set of eight drawn classes."""
    return pin_dataset(make_source(root / NAME, EIGHT, shots), NAME, home.data, DataConfig(**settings)).pin


def release_on(pin: DataPin, folder: Path, *, seed: int = 0) -> Release:
    """A release whose manifest says that it was trained on a pin."""
    return seal_release(make_parts(folder / "parts", seed=seed), folder / "release", pin=pin, code_revision="0.1+abc")


def register_awaiting(home: Home, pin: DataPin, root: Path, *, seed: int, approvers: int) -> RunRecord:
    """Register a version that so many must approve, and whose run carl started; returns the run."""
    release, runs = release_on(pin, root / str(seed), seed=seed), Runs(home.tracking_uri)
    run = runs.run(runs.start_run(f"run-{seed}", {}, {USER: "carl"}))
    evidence = write_evidence(root / f"evidence-{seed}", release, approval=ApprovalRule(approvers=approvers))
    register_release(release.folder, *evidence, ServeConfig(name=NAME), tracking_uri=home.tracking_uri, run=run)
    return run


def register_run(home: Home, release: Release, folder: Path, *settings: str, seed: int = 0, queries: bool = True) -> str:
    """Register a release as the version that a training run made; returns the version.

    Its report has the figures of every query, of drawn vectors, another for each seed.
    """
    runs = Runs(home.tracking_uri)
    tags = {KIND: "training", USER: "ann", COMMIT: "c" * 40, "why": "spring", "folder": str(folder), "code_revision": "0.1+abc"}
    run = runs.start_run(f"{NAME} multi_head", run_params("photos", NAME, load_config(None, settings)), tags)
    report, decision = write_evidence(folder, release)
    if queries:
        searched = read_manifest(fetch(release.pin, home.data, home.datasets)).searched
        vectors = np.random.default_rng(seed).standard_normal((len(searched), 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        evaluate_retrieval(vectors, searched.labels, searched.ids, queries=len(searched.rows("test"))).save(
            report / "candidate.npz"
        )
    for name, kept in (("report", report), ("decision", decision)):
        runs.log_file(run, kept, name)
    runs.close(run, succeeded=True)
    return Registry(home.tracking_uri, NAME).register(release, {"map_at_r": 0.4, "recall_at_1": 0.75}, run)

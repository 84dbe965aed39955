"""The record of a run before its first step: its name, its settings, and its origin."""

from datetime import datetime
from pathlib import Path
from typing import Any

from components.runtime.revision import code_revision
from model.config import RunConfig, setting_texts
from model.environment import current_user
from model.schemas.gallery import GalleryBase
from serving.registry.commit import code_commit
from serving.registry.records import COMMIT, KIND, USER


def run_name(dataset: str, config: RunConfig, when: datetime) -> str:
    """Name of a run, such as `grocery multi_head 2026-11-25 04:50`."""
    return f"{dataset} {config.model.method} {when:%Y-%m-%d %H:%M}"


def run_params(source: str, dataset: str, config: RunConfig) -> dict[str, Any]:
    """Every setting by its full name, such as `train.epochs`, and the source of the data."""
    return {"source": source, "name": dataset, **setting_texts(config)}


def gallery_run_name(base: GalleryBase, command: str, when: datetime) -> str:
    """Name of a run that changes a gallery, such as `grocery gallery add 2026-11-25 04:50`."""
    return f"{base.model} {command.removeprefix('glocal ')} {when:%Y-%m-%d %H:%M}"


def run_tags(folder: Path, why: str, pipeline: str, command: str, order: str = "") -> dict[str, str]:
    """Tags of a run: the pipeline, the command and the order that started it, the user, the code, and the reason."""
    tags = {
        KIND: pipeline,
        USER: current_user(),
        "mlflow.source.name": command,
        "mlflow.source.type": "LOCAL",
        "code_revision": code_revision(),
        "folder": str(folder),
        "why": why,
    }
    known = {COMMIT: code_commit(), "order": order}
    return tags | {name: text for name, text in known.items() if text}

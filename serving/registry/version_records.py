"""Reading of MLflow's rows as typed versions, and the tags that hold what a row has no column for."""

import contextlib
import json
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from model.release import Release
from model.schemas.approval import ApprovalRule
from model.schemas.model_version import Interval, ModelVersion

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as Row

REMOVED = "files_removed"
"""Tag of a version whose files housekeeping removed."""
SIGNED = "signed"
"""Tag that says whether a signature is stored with a version: yes or no; versions of earlier revisions have none."""
INTERVALS = "intervals"
"""Tag with the intervals of the figures, as JSON."""
_TEXTS = (
    "release",
    "embedding_space_id",
    "data_name",
    "data_md5",
    "data_rev",
    "code_revision",
    "run_id",
    "base_version",
    "starter",
    "evidence_sha256",
)


def read_version(row: "Row", aliases: Mapping[str, str]) -> ModelVersion:
    """Read a version.

    Args:
        row: What MLflow has on it.
        aliases: The version that each alias of its model points at.
    """
    version, tags = str(row.version), dict(row.tags)
    texts = {name: tags.pop(name, "") for name in _TEXTS}
    approval, signed, intervals = (tags.pop(name, "") for name in ("approval", SIGNED, INTERVALS))
    return ModelVersion(
        model=str(row.name),
        version=version,
        created=row.creation_timestamp,
        aliases=tuple(alias for alias, at in aliases.items() if at == version),
        removed=REMOVED in tags,
        signed=signed == "yes" if signed else None,
        figures=_figures(tags),
        intervals=_intervals(intervals),
        approval=ApprovalRule.model_validate_json(approval) if approval else None,
        **texts,
    )


def version_tags(release: Release, evidence: Mapping[str, str | float], run_id: str) -> dict[str, str]:
    """The tags of a new version.

    Args:
        release: Its release.
        evidence: Figures of its report and other texts.
        run_id: The run that made it.
    """
    figures = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in evidence.items()}
    return {
        **figures,
        "release": release.id,
        "embedding_space_id": release.embedding_space_id,
        "data_name": release.pin.path,
        "data_md5": release.pin.md5,
        "data_rev": release.pin.rev,
        "code_revision": release.manifest.code_revision,
        "run_id": run_id,
    }


def intervals_tag(intervals: Mapping[str, Interval]) -> dict[str, str]:
    """The tag that holds the intervals of figures."""
    return {INTERVALS: json.dumps({name: [round(end, 6) for end in ends] for name, ends in intervals.items()})}


def _figures(tags: Mapping[str, str]) -> dict[str, float]:
    """The finite numbers of the evidence."""
    figures = {}
    for name, value in tags.items():
        with contextlib.suppress(ValueError):
            if isfinite(number := float(value)):
                figures[name] = number
    return figures


def _intervals(text: str) -> dict[str, Interval]:
    """The intervals in a tag; none if somebody edited it to something else."""
    try:
        return {str(name): (float(lower), float(upper)) for name, (lower, upper) in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}

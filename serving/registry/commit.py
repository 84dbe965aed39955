"""The git commit of the code, as MLflow records it with a run, and what changed since."""

from pathlib import Path

from model.data.versions.git_command import commit_of, git

PACKAGES = ("model", "serving", "components")
"""The packages whose code decides what a run gives."""
_ROOT = Path(__file__).parents[2]


def code_commit() -> str:
    """The git commit of the checkout that this code lies in; empty if it lies in none."""
    from mlflow.utils.git_utils import get_git_commit

    return get_git_commit(str(Path(__file__).parent)) or ""


def changed_since(commit: str) -> tuple[str, ...] | None:
    """The files of the code that differ from a commit, committed or not; None if the checkout has no such commit."""
    if not commit or commit_of(_ROOT, commit) is None:
        return None
    return tuple(git(_ROOT, "diff", "--name-only", commit, "--", *PACKAGES).splitlines())

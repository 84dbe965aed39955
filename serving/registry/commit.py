"""The git commit of the code, as MLflow records it with a run."""

from pathlib import Path


def code_commit() -> str:
    """The git commit of the checkout that this code lies in; empty if it lies in none."""
    from mlflow.utils.git_utils import get_git_commit

    return get_git_commit(str(Path(__file__).parent)) or ""

"""Whether Glocal made the data repository, checked before anything in it is read or changed."""

from pathlib import Path

from model.data.versions.git_command import IDENTITY, git
from model.errors import GlocalError, InvalidInput
from model.files import write_text
from model.home import DataStore

FIRST_COMMIT = "An empty data repository"


def has_repository(store: DataStore) -> bool:
    """Whether the store has a data repository that Glocal made, or a clone of one.

    Raises:
        InvalidInput: Something that Glocal did not make lies at its path.
    """
    if not store.repo.exists() and not store.repo.is_symlink():
        return False
    if is_marked(store.repo) or begins_as_ours(store.repo):
        return True
    hint = "Set GLOCAL_HOME to an empty folder, or move this one away. Nothing in it was changed."
    raise InvalidInput(f"{store.repo} is not a data repository that Glocal made.", hint)


def begins_as_ours(repo: Path) -> bool:
    """Whether the first commit of a repository is that of ours."""
    try:
        first = git(repo, "log", "--max-parents=0", "--format=%ae %s", "HEAD")
    except GlocalError:
        return False
    return first == f"{IDENTITY} {FIRST_COMMIT}"


def is_marked(repo: Path) -> bool:
    """Whether the repository has the marker. A clone and a repository of an earlier version have none."""
    return _marker(repo).is_file()


def mark(repo: Path) -> None:
    """Mark a repository as one that Glocal made. The marker is in no commit."""
    write_text(_marker(repo), "Glocal made this repository.\n")


def _marker(repo: Path) -> Path:
    return repo / ".git" / "glocal"

"""The data repository as a clone of one that several machines share: names of versions go through git, files through DVC.

    join(store, "https://git.example.org/team/data.git")    before an import, a look-up or a download

The remote of the files must be one that all of them reach, such as `s3://`. An import pushes its commit (`repository`).
"""

import shutil
import tempfile
from pathlib import Path

from model.claim import claim
from model.data.versions.git_command import SETTINGS, commit_of, git
from model.data.versions.ownership import begins_as_ours, has_repository, mark
from model.data.versions.repository import create_repository
from model.errors import Conflict, GlocalError, InvalidInput
from model.home import DataStore
from model.locks import hold
from model.redaction import has_credentials, without_credentials

_BRANCH = "main"
_THEIRS = f"refs/remotes/origin/{_BRANCH}"


def join(store: DataStore, address: str) -> None:
    """Bring the data repository up to date with the shared one, which is made from it if it is empty.

    Args:
        store: The store. Without a repository it gets a clone.
        address: Address of the shared git repository; empty: nothing is shared.

    Raises:
        Conflict: Both have commits that the other lacks.
        InvalidInput: The shared repository is not one that Glocal made.
        Unavailable: It does not answer, or refuses.
    """
    if not address:
        return
    claim(store.home)
    store.root.mkdir(parents=True, exist_ok=True)
    with hold(store.lock):
        if has_repository(store):
            _set_origin(store.repo, address)
            _meet(store.repo, address)
        else:
            _clone(store, address)


def _clone(store: DataStore, address: str) -> None:
    """Make the repository: a clone, or a new one where the shared repository is empty."""
    folder = Path(tempfile.mkdtemp(prefix=".clone-", dir=store.root))
    try:
        partial = folder / "repo"
        partial.mkdir()
        git(partial, "init", "--quiet", f"--initial-branch={_BRANCH}", "--object-format=sha1", "--template=")
        for key, value in SETTINGS.items():
            git(partial, "config", key, value)
        _set_origin(partial, address)
        git(partial, "fetch", "--quiet", "origin", shared=True)
        if commit_of(partial, _THEIRS) is None:
            shutil.rmtree(partial)
            create_repository(store, partial)
            _set_origin(store.repo, address)
            _meet(store.repo, address)
            return
        git(partial, "checkout", "--quiet", "-B", _BRANCH, _THEIRS)
        _check_ours(partial, address)
        mark(partial)
        partial.replace(store.repo)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _meet(repo: Path, address: str) -> None:
    """Take the other's commits, or give it ours."""
    git(repo, "fetch", "--quiet", "origin", shared=True)
    ours, theirs = commit_of(repo, "HEAD"), commit_of(repo, _THEIRS)
    if theirs is None or _is_before(repo, theirs, "HEAD"):
        if ours != theirs:
            git(repo, "push", "--quiet", "origin", f"HEAD:{_BRANCH}", shared=True)
    elif _is_before(repo, "HEAD", theirs):
        git(repo, "merge", "--quiet", "--ff-only", theirs)
    else:
        shown = without_credentials(address)
        raise Conflict(
            f"The data repository {repo} and the shared one at {shown} have each versions that the other lacks.",
            "Set GLOCAL_HOME to another folder, which becomes a clone, and import there what is missing.",
        )


def _is_before(repo: Path, first: str, second: str) -> bool:
    """Whether a commit is the other one, or one of those before it."""
    try:
        git(repo, "merge-base", "--is-ancestor", first, second)
    except GlocalError:
        return False
    return True


def _set_origin(repo: Path, address: str) -> None:
    change = "set-url" if "origin" in git(repo, "remote").split() else "add"
    git(repo, "remote", change, "origin", address)
    if has_credentials(address):
        (repo / ".git" / "config").chmod(0o600)


def _check_ours(repo: Path, address: str) -> None:
    if not begins_as_ours(repo):
        raise InvalidInput(
            f"{without_credentials(address)} is not a data repository that Glocal made.",
            "Name an empty git repository, or one that Glocal has filled: GLOCAL_DATA_GIT.",
        )

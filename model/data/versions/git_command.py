"""git, run without the user's own settings, so that these do not influence the stored versions."""

import os
import subprocess
from pathlib import Path

from model.disk import disk_error
from model.errors import GlocalError, NotFound, Unavailable
from model.text import one_line

IDENTITY = "glocal@localhost"
SETTINGS = {
    "user.name": "glocal",
    "user.email": IDENTITY,
    "commit.gpgSign": "false",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.hooksPath": os.devnull,
    "core.excludesFile": os.devnull,
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",
    "gc.auto": "0",
}
NO_SETTINGS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
CREDENTIALS = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS")
"""Git variables with the user's access to a shared remote; they are kept."""


def git(repo: Path, *arguments: str, shared: bool = False) -> str:
    """Run git in the repository `repo` and nowhere else, and return its output, stripped.

    The user's `GIT_*` variables, settings, hooks, ignore files and attribute files have no effect. A command that contacts the
    shared remote stores nothing and needs the user's credential helpers, SSH command and proxy: with `shared`, global and system
    settings are read, except for those in `SETTINGS`.

    Raises:
        StorageFailed: The disk is full or read-only.
        Unavailable: git fails.
    """
    location = ["--git-dir", str(repo / ".git"), "--work-tree", str(repo)]  # never the repository of a folder above
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    command = ["git", *location, *settings, "-c", f"safe.directory={repo.absolute()}", "-C", str(repo), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, env=_environment(shared), check=False)
    except FileNotFoundError as error:
        if not repo.is_dir():
            raise NotFound(
                f"There is no data repository {repo}.", "Import a folder first: glocal data import DIR --name NAME"
            ) from error
        raise NotFound("git is not installed.", "Install git and repeat the command.") from error
    if result.returncode:
        said = one_line(result.stderr.decode(errors="replace"))
        failure = Unavailable(f"git {arguments[0]} failed in {repo}: {said}", "Is the data repository damaged?")
        raise disk_error(failure, repo) or failure
    return result.stdout.decode(errors="replace").strip()


def show(repo: Path, rev: str, path: str) -> str | None:
    """A file's text in a commit, stripped; None if the commit has no such file."""
    try:
        return git(repo, "show", f"{rev}:{path}")
    except Unavailable:
        return None


def commit_of(repo: Path, revision: str) -> str | None:
    """The full hash of a revision's commit; None if there is no such revision."""
    if revision.startswith("-") or not revision.isprintable():
        return None
    try:
        return git(repo, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except GlocalError:
        return None


def _environment(shared: bool) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in CREDENTIALS}
    return kept | ({} if shared else NO_SETTINGS) | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

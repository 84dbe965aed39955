"""The data repository: a git repository that names versions of data sets, and DVC that keeps them.

    store.repo       git and DVC; `<name>.dvc` pins the folder `<name>`, `.glocal/<name>.json` is the record of its import
    store.remote     folder that DVC pushes to, unless an s3:// address is given
    store.staging    folders of running imports
    store.site       DVC's own index

A version exists once its git commit does, which is made last, after the push. A failure before it leaves the old commit. An
import notes the name of its data set in `.git/glocal-import`; if the note is still there when the next import begins, the files
of that data set are put back. No other file in the repository is touched: people may keep their own files in it.
"""

import configparser
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from model.claim import claim
from model.data.versions.dvc_session import dvc_class, open_dvc
from model.data.versions.git_command import SETTINGS, git, show
from model.data.versions.ownership import FIRST_COMMIT, has_repository, is_marked, mark
from model.data.versions.pin import last_change, pin_file, read_pin, record_file
from model.disk import disk_errors
from model.errors import Conflict, GlocalError, InvalidInput
from model.files import write_json, write_text
from model.home import DataStore
from model.locks import hold
from model.redaction import has_credentials, redacted, without_credentials
from model.schemas.data_pin import DataPin

_CONFIG_FILE = ".dvc/config"
_LOCAL_CONFIG_FILE = ".dvc/config.local"
_CONFIG = """[core]
    analytics = false
    check_update = false
    remote = storage
[cache]
    type = "reflink,hardlink,copy"
['remote "storage"']
    url = ../../remote
"""
_IGNORED = "/config.local\n/tmp\n/cache\n"
_STAGED = ".glocal-import"
_PREFIX = "import-"


@contextmanager
def writing(store: DataStore, waiting: Callable[[], None]) -> Iterator[Path]:
    """Hold the lock of the store, make its repository or put it back to its last commit, and yield an empty staging folder.

    A second import calls `waiting` once and then waits for the first.

    Raises:
        InvalidInput: Glocal did not make the home or the repository.
        StorageFailed: The disk is full or read-only.
    """
    claim(store.home)
    with disk_errors(store.root), hold(store.lock, waiting=waiting):
        _remove_abandoned(store.staging)
        staging = _make_staging(store.staging)
        try:
            if has_repository(store):
                _restore(store.repo)
            else:
                create_repository(store, staging / "repo")
            with _restored_on_failure(store.repo, staging):
                yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            with suppress(OSError):
                store.staging.rmdir()


@contextmanager
def _restored_on_failure(repo: Path, staging: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)  # first, because it makes room
        with suppress(GlocalError, OSError):  # else the next import restores it
            _restore(repo)
        raise


def publish(
    store: DataStore, name: str, staged: Path, record: dict[str, Any], *, remote: str | None, step: Callable[[str], None]
) -> DataPin:
    """Make `staged` the newest version of `name`: DVC add, push, git commit. Called within `writing`.

    Returns:
        The pin of the version; the old pin if nothing changed.

    Raises:
        Conflict: A folder of that name lies in the repository, or the shared remote has other commits.
        InvalidInput: DVC does not keep every file.
    """
    repo, files = store.repo, sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if not path.is_dir())
    _note(repo, name)
    staged.replace(repo / name)
    _set_remote(repo, remote)
    with open_dvc(store) as dvc:
        step("keep the files")
        dvc.add([str(repo / name)])
        _check_whole(dvc, repo, name, files)
        step("copy them to the data remote")
        dvc.push(targets=[str(repo / pin_file(name))])
    write_json(repo / record_file(name), _without_secrets(record))
    _commit(repo, name)
    shutil.rmtree(repo / name)
    _note_file(repo).unlink()
    return read_pin(repo, last_change(repo, "HEAD", name), name)


def _make_staging(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    (staging / _STAGED).touch()
    return staging


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of killed imports, which have a marker. Other files in the folder are left alone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if (folder / _STAGED).is_file() and not folder.is_symlink():
            shutil.rmtree(folder)


def create_repository(store: DataStore, partial: Path) -> None:
    """Make a repository with one commit at another path, and move it to its own."""
    partial.mkdir()
    git(partial, "init", "--quiet", "--initial-branch=main", "--object-format=sha1", "--template=")
    for key, value in SETTINGS.items():
        git(partial, "config", key, value)
    with dvc_class(store) as dvc:
        dvc.init(str(partial), no_scm=True).close()
    write_text(partial / _CONFIG_FILE, _CONFIG)
    write_text(partial / ".dvc" / ".gitignore", _IGNORED)
    git(partial, "add", "--force", "--", _CONFIG_FILE, ".dvc/.gitignore", ".dvcignore")
    git(partial, "commit", "--quiet", f"--message={FIRST_COMMIT}")
    mark(partial)
    partial.replace(store.repo)


def _note_file(repo: Path) -> Path:
    return repo / ".git" / "glocal-import"


def _note(repo: Path, name: str) -> None:
    """Note that `name` is being imported, before any of its files is in the repository."""
    if (repo / name).exists() or (repo / name).is_symlink():
        hint = "Move it away: an import puts the images there for a moment. Nothing in it was changed."
        raise Conflict(f"{repo / name} is not of Glocal's making.", hint)
    write_json(_note_file(repo), [name])


def _changed_by(name: str) -> list[str]:
    """Every file of the repository that an import of `name` changes, relative to it."""
    return [_CONFIG_FILE, pin_file(name), record_file(name)]


def _restore(repo: Path) -> None:
    """Put back the files that an unfinished import changed. The cache remains, because its objects are named by their hash."""
    (repo / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
    names = _unfinished(repo)
    if names:
        (repo / ".git" / "index.lock").unlink(missing_ok=True)
    for name in names:
        if (repo / name).is_dir():
            shutil.rmtree(repo / name)
        for path in _changed_by(name):
            git(repo, "reset", "--quiet", "--", path)
            committed = show(repo, "HEAD", path)
            if committed is None:
                (repo / path).unlink(missing_ok=True)
            elif not (repo / path).is_file() or (repo / path).read_text(encoding="utf-8").strip() != committed:
                git(repo, "checkout", "--quiet", "HEAD", "--", path)
    _note_file(repo).unlink(missing_ok=True)
    if not is_marked(repo):
        mark(repo)


def _unfinished(repo: Path) -> list[str]:
    """The data sets whose import did not end.

    In a repository of a version without notes and markers, DVC's `.gitignore` names the folders of all data sets.
    """
    if is_marked(repo):
        return list(json.loads(_note_file(repo).read_bytes())) if _note_file(repo).is_file() else []
    ignored = repo / ".gitignore"
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
    names = [line.removeprefix("/") for line in lines if line.startswith("/")]
    return [name for name in names if (repo / pin_file(name)).is_file()]


def _set_remote(repo: Path, remote: str | None) -> None:
    """Set the remote that this version is pushed to and fetched from. None stands for the folder `store.remote`.

    A password or key in the address is kept on this machine, in a file that is in no commit.
    """
    config = configparser.ConfigParser(interpolation=None)
    config.read(repo / _CONFIG_FILE, encoding="utf-8")
    address = remote or "../../remote"
    if remote and "://" not in remote:
        address = str(Path(remote).absolute())
    public = _quoted(without_credentials(address))
    sections = {section: config[section].get("url") for section in config.sections() if section.startswith("'remote ")}
    section = next((section for section, url in sections.items() if url == public), None)
    if section is None:
        section = f"'remote \"storage-{len(sections)}\"'"
        config[section] = {"url": public}
    config["core"]["remote"] = section.split('"')[1]
    with (repo / _CONFIG_FILE).open("w", encoding="utf-8") as stream:
        config.write(stream)
    if has_credentials(address):
        _keep_secret(repo / _LOCAL_CONFIG_FILE, section, address)


def _quoted(value: str) -> str:
    """A value with the quotes that DVC's settings file needs: without them a `#` begins a comment and a comma a list."""
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}" if any(character in value for character in "#,'\"") else value


def _keep_secret(file: Path, section: str, address: str) -> None:
    """Write an address with its password into a file that only this user can read."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(file, encoding="utf-8")
    config[section] = {"url": _quoted(address)}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        config.write(stream)


def _check_whole(dvc: Any, repo: Path, name: str, files: list[str]) -> None:
    """Refuse a version from which DVC left files out, because the counted files must be those that are stored."""
    import yaml

    out = yaml.safe_load((repo / pin_file(name)).read_text(encoding="utf-8"))["outs"][0]
    listing = json.loads(Path(dvc.cache.local.oid_to_path(out["md5"])).read_bytes())
    if lost := sorted(set(files) - {entry["relpath"] for entry in listing}):
        shown = ", ".join(lost[:5]) + (" ..." if len(lost) > 5 else "")
        raise InvalidInput(f"DVC does not keep {len(lost)} files of {name}: {shown}.", "Give these files or folders other names.")


def _without_secrets(record: dict[str, Any]) -> dict[str, Any]:
    options = {key: redacted(value) if isinstance(value, str) else value for key, value in record.get("options", {}).items()}
    return record | ({"options": options} if options else {})


def _commit(repo: Path, name: str) -> None:
    """Commit the files of one data set, without others that a person changed or staged, and push the commit."""
    paths = [path for path in _changed_by(name) if (repo / path).is_file()]
    git(repo, "add", "--force", "--", *paths)
    if not git(repo, "status", "--porcelain", "--", *paths):
        return
    before = git(repo, "rev-parse", "HEAD")
    git(repo, "commit", "--quiet", f"--message=Import {name}", "--", *paths)
    if "origin" not in git(repo, "remote").split():
        return
    try:
        git(repo, "push", "--quiet", "origin", "HEAD", shared=True)
    except GlocalError as error:
        git(repo, "update-ref", "HEAD", before)
        hint = "Pull it into the store, then import again."
        raise Conflict("The shared data repository did not take the new version.", hint) from error

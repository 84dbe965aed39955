"""What is stored does not depend on the user's settings of git and DVC, and nothing of theirs is touched."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import DataConfig
from model.data.importing.import_dataset import import_dataset
from model.data.versions.fetch import fetch
from model.data.versions.integrity import folder_md5
from model.data.versions.pin import datasets, resolve
from model.errors import Conflict, InvalidInput
from model.home import DataStore, Home

pytestmark = pytest.mark.integration
LICENCE = "CC BY 4.0"


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(cells).resize((32, 32), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("source")
    for number, name in enumerate(("ant", "bee", "Käse")):
        for shot in range(2):
            draw(root / name / f"{shot}.png", 10 * number + shot)
    return root


def stored(store: DataStore) -> str:
    """Every file of the newest commit with the hash of its bytes, and who made it."""
    clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull}
    safe = ["-c", f"safe.directory={store.repo}"]
    tree = subprocess.check_output(["git", *safe, "-C", str(store.repo), "ls-tree", "-r", "HEAD"], env=clean, text=True)
    return tree + subprocess.check_output(
        ["git", *safe, "-C", str(store.repo), "log", "--format=%an %ae %s"], env=clean, text=True
    )


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory) -> str:
    store = Home(tmp_path_factory.mktemp("plain") / "home").data
    import_dataset(source, "zoo", store, DataConfig(licence=LICENCE))
    return stored(store)


def ignores(home: Path, tmp_path: Path) -> dict[str, str]:
    (home / ".config/git/ignore").write_text(".glocal\n*.json\n*.dvc\n.dvc\n*\n")
    return {}


def attributes(home: Path, tmp_path: Path) -> dict[str, str]:
    (home / ".config/git/attributes").write_text("* text eol=crlf ident filter=broken\n")
    config(home, '[filter "broken"]\n\tclean = false\n\trequired = true\n[core]\n\tautocrlf = true\n\tsafecrlf = true\n')
    return {}


def signing(home: Path, tmp_path: Path) -> dict[str, str]:
    config(home, "[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n[user]\n\tuseConfigOnly = true\n\tname = Me\n")
    return {}


def hooks(home: Path, tmp_path: Path) -> dict[str, str]:
    for folder in ("hooks", "template/hooks", "template/info"):
        (tmp_path / folder).mkdir(parents=True)
    for hook in ("hooks/pre-commit", "hooks/commit-msg", "template/hooks/pre-commit"):
        (tmp_path / hook).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / hook).chmod(0o755)
    (tmp_path / "template/info/exclude").write_text("*\n")
    config(home, f"[core]\n\thooksPath = {tmp_path / 'hooks'}\n[init]\n\ttemplateDir = {tmp_path / 'template'}\n")
    return {"GIT_TEMPLATE_DIR": str(tmp_path / "template")}


def variables(home: Path, tmp_path: Path) -> dict[str, str]:
    subprocess.run(["git", "init", "-q", str(tmp_path / "mine")], check=True)
    git = tmp_path / "mine/.git"
    return {
        "GIT_DIR": str(git),
        "GIT_WORK_TREE": str(tmp_path / "mine"),
        "GIT_INDEX_FILE": str(git / "index"),
        "GIT_OBJECT_DIRECTORY": str(git / "objects"),
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_AUTHOR_NAME": "Me",
        "GIT_COMMITTER_EMAIL": "me@example.org",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "true",
        "GIT_LITERAL_PATHSPECS": "1",
        "LANG": "de_DE.UTF-8",
    }


def broken(home: Path, tmp_path: Path) -> dict[str, str]:
    config(home, "[core\nthis is no settings file\n")
    return {}


def dvc(home: Path, tmp_path: Path) -> dict[str, str]:
    folder = home / ".config/dvc"
    folder.mkdir(parents=True)
    (folder / "config").write_text(
        "[core]\n    autostage = true\n    remote = mine\n    check_update = true\n    no_scm = false\n"
        f"[cache]\n    type = symlink\n    dir = {tmp_path / 'cache'}\n['remote \"mine\"']\n    url = {tmp_path / 'remote'}\n"
    )
    return {"DVC_GLOBAL_CONFIG_DIR": str(folder), "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_ROOT": str(tmp_path)}


def config(home: Path, text: str) -> None:
    (home / ".gitconfig").write_text(text)


@pytest.mark.parametrize("settings", [ignores, attributes, signing, hooks, variables, broken, dvc])
def test_a_users_settings_change_nothing_of_what_is_stored(source, expected, tmp_path, monkeypatch, settings):
    home = tmp_path / "user"
    (home / ".config/git").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name, value in settings(home, tmp_path).items():
        monkeypatch.setenv(name, value)
    before, store = set(tmp_path.rglob("*")), Home(tmp_path / "home").data
    pin = import_dataset(source, "zoo", store, DataConfig(licence=LICENCE)).pin
    assert import_dataset(source, "zoo", store, DataConfig(licence=LICENCE)).unchanged
    assert (pin.classes, pin.licence) == (3, LICENCE)
    assert [each.rev for each in datasets(store)] == [pin.rev]
    assert folder_md5(fetch(pin, store, tmp_path / "home/datasets")) == pin.md5
    assert stored(store) == expected
    assert {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "home")} == set()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user_is_read_and_written(source, expected, tmp_path):
    store = Home(tmp_path / "home").data
    pin = import_dataset(source, "zoo", store, DataConfig(licence=LICENCE)).pin
    for path in (store.root, *store.root.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    assert resolve(store, "zoo") == pin
    assert folder_md5(fetch(pin, store, tmp_path / "out")) == pin.md5
    assert import_dataset(source, "zoo2", store).pin.rev != pin.rev


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)


def test_a_users_own_repository_in_the_place_of_ours_is_never_touched(source, tmp_path):
    store = Home(tmp_path / "home").data
    import_dataset(source, "zoo", store)
    shutil.rmtree(store.repo)  # a home of ours, in which somebody put a repository of his
    (store.repo / "drawings").mkdir(parents=True)
    git(store.repo, "init", "-q")
    (store.repo / "a.txt").write_text("one")
    git(store.repo, "add", "a.txt")
    git(store.repo, "commit", "-qm", "one")
    (store.repo / "a.txt").write_text("edited")
    (store.repo / "drawings/mine.txt").write_text("mine")
    before = snapshot(store.repo)
    for call in (lambda: import_dataset(source, "zoo", store), lambda: resolve(store, "zoo"), lambda: datasets(store)):
        with pytest.raises(InvalidInput, match="not a data repository that Glocal made"):
            call()
    assert snapshot(store.repo) == before


def test_files_of_a_user_inside_our_folders_stay(source, tmp_path):
    store = Home(tmp_path / "home").data
    import_dataset(source, "zoo", store)
    for folder in (store.staging / "mine", store.repo / "notes"):
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("mine")
    (store.repo / "todo.txt").write_text("mine")
    (store.repo / ".dvcignore").write_text("# edited\n")
    draw(source / "ant" / "9.png", 99)
    bad = source / "ant" / "bad.png"
    try:
        import_dataset(source, "zoo", store)
        bad.write_text("no image")
        with pytest.raises(InvalidInput):  # one that fails puts its own files back, and no others
            import_dataset(source, "zoo", store)
    finally:
        (source / "ant" / "9.png").unlink()
        bad.unlink(missing_ok=True)
    for file in (store.staging / "mine/mine.txt", store.repo / "notes/mine.txt", store.repo / "todo.txt"):
        assert file.read_text() == "mine"
    assert (store.repo / ".dvcignore").read_text() == "# edited\n"
    assert "todo.txt" not in stored(store)


def test_a_folder_that_bears_the_name_of_a_data_set_is_not_overwritten(source, tmp_path):
    store = Home(tmp_path / "home").data
    import_dataset(source, "zoo", store)
    (store.repo / "mine").mkdir()
    (store.repo / "mine/x.txt").write_text("mine")
    with pytest.raises(Conflict, match="not of Glocal's making"):
        import_dataset(source, "mine", store)
    assert (store.repo / "mine/x.txt").read_text() == "mine"
    assert [pin.path for pin in datasets(store)] == ["zoo"]


def test_a_repository_without_its_git_folder_never_leads_to_one_above(source, tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "a.txt").write_text("edited")
    store = Home(tmp_path / "home").data
    import_dataset(source, "zoo", store)
    shutil.rmtree(store.repo / ".git")
    with pytest.raises(InvalidInput, match="not a data repository that Glocal made"):
        import_dataset(source, "zoo", store)
    assert (tmp_path / "a.txt").read_text() == "edited"


def test_a_repository_from_before_there_were_markers_goes_on(source, tmp_path):
    store = Home(tmp_path / "home").data
    old = import_dataset(source, "zoo", store).pin
    store.home.marker.unlink()
    (store.repo / ".git/glocal").unlink()
    (store.repo / ".gitignore").write_text("/zoo\n")
    (store.repo / "zoo").mkdir()  # what an import that was killed then left
    (store.repo / "zoo" / "left.png").touch()
    (store.repo / "mine.txt").write_text("mine")
    assert resolve(store, "zoo") == old
    assert import_dataset(source, "zoo", store).pin == old
    assert not (store.repo / "zoo").exists()
    assert (store.repo / "mine.txt").exists()
    assert store.home.marker.is_file()
    assert (store.repo / ".git/glocal").is_file()


def test_a_clone_of_a_shared_repository_is_ours_and_is_pushed_to(source, tmp_path, monkeypatch):
    first, second = Home(tmp_path / "first").data, Home(tmp_path / "second").data
    monkeypatch.setenv("HOME", str(tmp_path))
    config(tmp_path, f'[url "{tmp_path}/"]\n\tinsteadOf = team:\n')  # what a remote is reached by is the user's own setting
    old = import_dataset(source, "zoo", first).pin
    subprocess.run(["git", "clone", "-q", "--bare", str(first.repo), str(tmp_path / "shared.git")], check=True)
    second.root.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "team:shared.git", str(second.repo)], check=True)
    assert resolve(second, "zoo").rev == old.rev
    new = import_dataset(source, "other", second).pin
    shared = subprocess.check_output(["git", "-C", str(tmp_path / "shared.git"), "rev-parse", "HEAD"], text=True).strip()
    assert shared == new.rev


def test_a_password_in_the_address_of_the_remote_is_in_no_commit(source, tmp_path):
    from model.data.versions.repository import _set_remote

    store = Home(tmp_path / "home").data
    import_dataset(source, "zoo", store)
    _set_remote(store.repo, "https://me:s3cr3t@host/dvc")
    assert "s3cr3t" not in (store.repo / ".dvc/config").read_text()
    assert "url = https://host/dvc" in (store.repo / ".dvc/config").read_text()
    assert "https://me:s3cr3t@host/dvc" in (store.repo / ".dvc/config.local").read_text()
    assert (store.repo / ".dvc/config.local").stat().st_mode & 0o077 == 0

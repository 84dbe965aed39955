"""Full and read-only disks, accounts without a name, odd locales and paths: the same result, or one line and what to do.

The mounts are real ones in a namespace of their own. Where this user may not make one, the tests that need it skip.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.versions.pin import datasets
from model.home import Home

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
GLOCAL = f"{shlex.quote(sys.executable)} -m pipelines.cli"


def _may_mount() -> bool:
    try:
        tried = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="this user may not mount in a namespace of its own (unshare -m)")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "photos"
    for number in range(6):
        (root / f"class{number}").mkdir(parents=True)
        for shot in range(3):
            cells = np.random.default_rng(10 * number + shot).integers(0, 255, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(cells).save(root / f"class{number}" / f"{shot}.png")
    return root


def shell(script: str, home: Path, *, unshared: bool = False, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run a script with GLOCAL_HOME set, and in a namespace of its own if it mounts; a variable that is None is unset."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOCAL_HOME": str(home)}
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    command = [*(["unshare", "-m"] if unshared else []), "sh", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)


def run_import(photos: Path, *, name: str = "p") -> str:
    return f"{GLOCAL} data import {shlex.quote(str(photos))} --name {name} --json"


def pin_of(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["pin"]


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if not line.startswith("  ..")]  # progress, on a slow machine


@needs_mounts
@pytest.mark.parametrize("size", ["nr_inodes=60", "size=260k", "size=420k"])
def test_a_full_disk_is_named_and_the_old_version_stays(photos, tmp_path, size):
    kept, home = tmp_path / "kept", tmp_path / "disk" / "home"
    home.parent.mkdir()
    script = f"mount -t tmpfs -o {size} tmpfs {home.parent} && {run_import(photos)}; code=$?; cp -a {home} {kept}; exit $code"
    done = shell(script, home, unshared=True)
    assert done.returncode == 1
    assert lines(done)[0].startswith(f"Error: There is no room left on the disk of {home}")
    assert lines(done)[1].startswith("  Make room there, or set GLOCAL_HOME to")
    assert len(lines(done)) == 2
    assert datasets(Home(kept).data) == []


@needs_mounts
def test_after_a_disk_was_full_the_same_command_goes_on_where_the_old_version_is(photos, tmp_path):
    home, more = tmp_path / "disk" / "home", tmp_path / "more"
    home.parent.mkdir()
    shutil.copytree(photos, more)
    image = next(more.rglob("*.png"))
    noise = np.random.default_rng(1).integers(0, 255, (900, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image.with_name("9.png"))
    script = f"""mount -t tmpfs -o size=2500k tmpfs {home.parent} || exit 9
{run_import(photos)} || exit 8
{run_import(more)}; echo $? >&2
{GLOCAL} data list >&2
mount -o remount,size=40m {home.parent} && {run_import(more)}"""
    done = shell(script, home, unshared=True)
    old, new = (json.loads(line)["pin"] for line in done.stdout.splitlines())
    said = lines(done)
    at = next(number for number, line in enumerate(said) if line.startswith("Error: There is no room left"))
    assert said[at + 2] == "1"
    assert said[at + 3].startswith(f"p@{old['rev']}")
    assert (old["files"], new["files"], done.returncode) == (19, 20, 0)


@needs_mounts
def test_a_read_only_disk_is_named(photos, tmp_path):
    home = tmp_path / "disk" / "home"
    home.parent.mkdir()
    for command in (run_import(photos), f"{GLOCAL} run --data {photos}", f"{GLOCAL} serve start"):
        done = shell(f"mount -t tmpfs -o ro tmpfs {home.parent} && {command}", home, unshared=True)
        assert done.returncode == 1
        assert lines(done)[0] == f"Error: {home} lies on a read-only disk."
        assert "Make it writable, or set GLOCAL_HOME" in lines(done)[1]


@needs_mounts
def test_a_home_that_became_read_only_is_named(photos, tmp_path):
    home = tmp_path / "disk" / "home"
    home.parent.mkdir()
    script = f"""mount -t tmpfs tmpfs {home.parent} && {run_import(photos)} >&2 && mount -o remount,ro {home.parent}
{GLOCAL} data list && {{ {GLOCAL} run --data {photos}; {GLOCAL} serve start; {run_import(photos)}; }}"""
    done = shell(script, home, unshared=True)
    assert done.returncode == 1
    assert "p@" in done.stdout
    assert [line for line in lines(done) if "Error" in line] == [f"Error: {home} lies on a read-only disk."] * 3


TEMPORARY = ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR")
"""Variables that name a temporary folder. torch sets the second one in the process that runs the tests."""


@needs_mounts
def test_without_a_writable_temporary_folder_an_import_gives_the_same_version(photos, tmp_path):
    expected = pin_of(shell(run_import(photos), tmp_path / "plain"))
    closed = " && ".join(
        f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}" for folder in ("/var/tmp", "/tmp")
    )
    work = Path("/var/lib") if os.access("/var/lib", os.W_OK) else ROOT
    home = work / f"glocal-test-{os.getpid()}"
    source = f"{home}-photos"
    try:
        shutil.copytree(photos, source)
        done = shell(f"{closed} && {run_import(Path(source))}", home, unshared=True, **dict.fromkeys(TEMPORARY))
        assert pin_of(done)["md5"] == expected["md5"]
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(source, ignore_errors=True)


@needs_mounts
def test_an_account_without_a_name_imports_the_same_version(photos, tmp_path):
    expected = pin_of(shell(run_import(photos), tmp_path / "plain"))
    (tmp_path / "passwd").write_text("nobody:x:65534:65534::/:/bin/false\n")
    (tmp_path / "nsswitch").write_text("passwd: files\n")
    mounts = " && ".join(f"mount --bind {tmp_path / file} /etc/{target}" for file, target in ACCOUNTS)
    nameless = dict.fromkeys(("GLOCAL_USER", "USER", "LOGNAME", "LNAME", "USERNAME", "HOME"))
    done = shell(f"{mounts} && {run_import(photos)}", tmp_path / "home", unshared=True, **nameless)
    assert pin_of(done)["md5"] == expected["md5"]


ACCOUNTS = [("passwd", "passwd"), *([("nsswitch", "nsswitch.conf")] if Path("/etc/nsswitch.conf").exists() else [])]


@pytest.mark.parametrize("name", ["höme, 50% off", "a%20b?c#d", 'it\'s "so"; a:b', "日本 $HOME"])
def test_the_path_of_a_home_and_an_ascii_locale_change_nothing(photos, tmp_path, name):
    home = tmp_path / name
    done = shell(run_import(photos), home, LC_ALL="C", LANG=None)
    pin = pin_of(done)
    assert (pin["files"], pin["repo"]) == (19, str(home / "data/repo"))
    assert [each.rev for each in datasets(Home(home).data)] == [pin["rev"]]


def test_what_only_looks_makes_nothing(tmp_path):
    for command in ("data list", "serve status", "serve stop"):
        done = shell(f"{GLOCAL} {command}", tmp_path / "home")
        assert done.returncode == 0, done.stderr
    assert not any(tmp_path.iterdir())


def test_every_command_that_writes_refuses_a_folder_of_the_users_own(photos, tmp_path):
    for folder in ("data/staging", "data/repo/drawings"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    benchmark = f"{shlex.quote(sys.executable)} -m benchmarks.methods --data {photos}"
    for command in (run_import(photos), f"{GLOCAL} run --data {photos}", f"{GLOCAL} serve start", benchmark):
        done = shell(command, tmp_path)
        assert done.returncode == 2
        assert "holds files that are not Glocal's" in done.stderr
        assert "Set GLOCAL_HOME to an empty folder" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before

"""The disk under a running endpoint: full, or closed to its user. It answers on, what fails says so in a line, nothing is lost.

The full disk is a real one, in a namespace that commands and servers enter. Where this user may not make one, its test skips.
"""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from model.claim import claim
from model.home import Home
from serving import server
from serving.processes import wait_until
from tests.support.commands import command, glocal, last_line
from tests.support.promotions import register
from tests.support.releases import draw_image, make_release

pytestmark = [pytest.mark.integration, pytest.mark.long]

NAME = "drawn"
NO_ROOM = "There is no room left on the disk of "
PERMISSION = "Change its permissions; GLOCAL_HOME must be a folder that this user can write to."


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A home with two registered releases, none of which serves."""
    root = tmp_path_factory.mktemp("registered")
    home = claim(Home.at(root / "disk" / "home"))
    for seed in range(2):
        release = make_release(root / str(seed), seed=seed)
        assert register(release, home, root / f"report{seed}", name=NAME).version == str(seed + 1)
    return home


class Disk:
    """A small disk of its own in the place of a home's, which commands enter.

    Args:
        home: The home, whose files are copied to the disk.
        room: Folder to mount the disk at first.
    """

    def __init__(self, home, room):
        self.home = home
        disk = home.root.parent
        mounts = f"mount -t tmpfs -o size=64m tmpfs {room} && cp -a {disk}/. {room} && mount --bind {room} {disk}"
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"{mounts} && echo ready && exec sleep infinity"], stdout=subprocess.PIPE, text=True
        )
        self.is_there = self._holder.stdout.readline() == "ready\n"
        self.inside = Path(f"/proc/{self._holder.pid}/root{home.root}")

    def run(self, *words):
        """Run a `glocal` command at the disk."""
        return glocal(self.home.root, ["nsenter", "-m", "-t", str(self._holder.pid), *command(*words)])

    def fill(self):
        """Leave no byte on it."""
        for size in ("64k", "1"):
            words = ["dd", "if=/dev/zero", f"of={self.inside}/filler{size}", f"bs={size}"]
            assert b"No space left" in subprocess.run(words, capture_output=True, check=False).stderr

    def make_room(self):
        for filler in self.inside.glob("filler*"):
            filler.unlink()

    def end(self):
        if self.is_there:
            self.run("serve", "stop")
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def disk(registered, tmp_path):
    try:
        disk = Disk(registered, tmp_path)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    try:
        if not disk.is_there:
            pytest.skip("this user may not mount in a namespace of its own (unshare -m)")
        yield disk
    finally:
        disk.end()


def test_on_a_full_disk_the_endpoint_answers_on_and_what_cannot_be_written_is_said_and_goes_on_once_there_is_room(disk):
    code, out, error = disk.run("promote", "1", "--why", "the first", "--yes", "--json")
    assert code == 0, error
    key, keys = ((disk.inside / "serve" / name).read_text() for name in ("key", "keys.json"))
    with httpx.Client(base_url=last_line(out)["address"], trust_env=False, timeout=60) as http:

        def search(secret):
            return http.post("/v1/search", content=draw_image(1), headers={"Authorization": f"Bearer {secret}"})

        disk.fill()
        for _ in range(5):
            assert (search(key.strip()).status_code, search("wrong").status_code) == (200, 401)
        assert [http.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        for words in (("promote", "2", "--why", "fuller", "--yes"), ("key", "create", "shop")):
            code, _, error = disk.run(*words)
            assert code == 1, (words, error)
            said = error.splitlines()[-2:]
            assert said[0].startswith(f"Error: {NO_ROOM}{disk.home.root}"), error
            assert said[1].startswith("  Make room there"), error
        assert (disk.inside / "serve" / "keys.json").read_text() == keys
        code, out, error = disk.run("serve", "status", "--json")
        assert (code, last_line(out)["state"]) == (0, "serving"), error
        assert search(key.strip()).json()["model_version"] == "1"
        disk.make_room()
        code, out, error = disk.run("promote", "2", "--why", "fuller", "--yes", "--json")
        assert code == 0, error
        assert search(key.strip()).json()["model_version"] == "2"
        refused = search("wrong")
    audit = disk.inside / "logs/gateway/audit.log"  # written once the answer is
    assert wait_until(lambda: refused.headers["x-request-id"] in audit.read_text(), deadline_s=5)
    code, out, error = disk.run("history", "--verify", "--json")
    assert (code, last_line(out)["intact"]) == (0, True), error
    assert [each["version"] for each in last_line(out)["history"] if each["outcome"] == "promoted"] == ["1", "2"]


BOUND = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Before a command: root obeys the permissions of its own files."""


@pytest.fixture
def run(registered, tmp_path):
    """Run a `glocal` command that obeys permissions, at a copy of the registered home."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root obeys no permissions, and there is no setpriv")

    def run(*words):
        return glocal(registered.root, [*(BOUND if os.getuid() == 0 else []), *command(*words)])

    yield run
    server.stop(registered)


def test_files_that_are_closed_to_their_user_are_named_and_nothing_is_lost(registered, run):
    folder = registered.serve
    code, out, error = run("promote", "1", "--why", "the first", "--yes", "--json")
    assert code == 0, error
    http = httpx.Client(base_url=last_line(out)["address"], trust_env=False, timeout=60)
    key = folder.key.read_text().strip()

    def answers():
        answer = http.post("/v1/search", content=draw_image(1), headers={"Authorization": f"Bearer {key}"})
        return answer.status_code, answer.json().get("model_version")

    def said(path, mode, *words):
        """The lines of a command's error while a file or folder is closed; the endpoint answers on."""
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        try:
            code, _, error = run(*words)
            assert answers() == (200, "1"), words
        finally:
            path.chmod(before)
        assert code != 0, words
        return error[error.index("Error: ") :].splitlines()

    create, promote = ("key", "create", "shop"), ("promote", "2", "--why", "x", "--yes")
    stored = folder.keys.read_bytes()
    for path, mode, words in (
        (folder.keys, 0, ("key", "list")),
        (folder.keys, 0, create),
        (folder.root, 0o500, create),
        (folder.audit_log, 0o400, create),
        (folder.root, 0o500, promote),
        (folder.store, 0o500, promote),
        (folder.deployed, 0, promote),
    ):
        assert said(path, mode, *words) == [f"Error: {path} may not be opened by this user.", f"  {PERMISSION}"]
    assert folder.keys.read_bytes() == stored
    headline, hint = said(folder.key, 0, "query", str(registered.root / "photo.png"))
    assert "does not know the key of this home's owner" in headline
    assert "glocal serve start" in hint
    code, out, error = run("promote", "2", "--why", "open again", "--yes", "--json")
    assert code == 0, error
    assert answers() == (200, "2")
    code, out, error = run("history", "--verify", "--json")
    assert (code, last_line(out)["intact"]) == (0, True), error

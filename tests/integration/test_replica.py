"""A replica of the endpoint, by the commands of its pod: fetches what it is told to serve, serves it, and ends."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from model.claim import claim
from model.files import read_json
from model.home import Home
from model.schemas.declared import DeclaredModel, declared_text
from serving.client import Client
from serving.gateway.keys import create_key
from serving.protocol import SIGNATURE
from tests.support.cluster import ROOT, until
from tests.support.promotions import make_releases, register
from tests.support.releases import draw_image

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NAME = "drawn"


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A home with a registry of three versions, of which the third does not answer its golden queries."""
    folder = tmp_path_factory.mktemp("registered")
    home = Home(folder / "home")
    for number, release in enumerate(made := make_releases(folder / "releases")):
        register(release, home, folder / f"evidence-{number}")
    return home, made


class Pod:
    """The processes of one pod, in a home of its own."""

    def __init__(self, folder, home, **declared):
        self.folder, self.home = folder, Home(folder / "home")
        told = {"GLOCAL_HOME": str(self.home.root), "GLOCAL_TRACKING_URI": home.tracking_uri, "PYTHONPATH": str(ROOT)}
        self._environment = {**os.environ, **told, "GLOCAL_SERVED": declared_text(declared)}

    def fetch(self):
        command = [sys.executable, "-m", "serving.replica", "fetch"]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=120)

    def serve(self, *arguments):
        log = (self.folder / "log").open("wb")
        command = [sys.executable, "-m", "serving.replica", "serve", *arguments]
        self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self.process

    def address(self):
        known = until(lambda: self.home.serve.gateway.exists() and read_json(self.home.serve.gateway), within=90)
        return f"http://127.0.0.1:{known['port']}"

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return httpx.get(f"{self.address()}/readyz", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def processes(self):
        return [
            each.pid for each in psutil.process_iter(["cmdline"]) if str(self.home.root) in " ".join(each.info["cmdline"] or ())
        ]


@pytest.fixture
def pod(registered, tmp_path):
    pods = []

    def make(**declared):
        pods.append(Pod(tmp_path, registered[0], **declared))
        return pods[-1]

    yield make
    for each in pods:
        if hasattr(each, "process"):
            each.process.terminate()
            each.process.wait(60)


def test_what_is_fetched_is_served_to_the_keys_of_the_file_until_a_signal_ends_it(registered, pod, tmp_path):
    _home, releases = registered
    shared = Home(tmp_path / "shared").serve
    _, key = create_key(shared, "caller", ["caller"])
    one = pod(drawn=DeclaredModel(version="1", release=releases[0].id))
    assert one.fetch().returncode == 0
    assert one.fetch().returncode == 0  # again, as after a restart of the machine
    one.serve("--keys", str(shared.keys))
    until(one.is_ready, within=120)
    answer = Client(one.address(), key).search(draw_image(1), 1, model=NAME)
    assert (answer.model_version, answer.release) == ("1", releases[0].id)

    _, another = create_key(shared, "later", ["caller"])

    def is_admitted():
        found = httpx.get(f"{one.address()}/v1/release", headers={"Authorization": f"Bearer {another}"}, trust_env=False)
        return found.is_success

    assert not is_admitted()
    until(is_admitted, within=30)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 0
    assert one.processes() == []


def test_a_fetch_that_was_killed_is_begun_again_where_the_pod_is_the_same(registered, pod):
    _home, releases = registered
    one = pod(drawn=DeclaredModel(version="1", release=releases[0].id))
    (claim(one.home).serve.fetched / "drawn@1" / ".release.x").mkdir(parents=True)
    assert one.fetch().returncode == 0
    (one.home.serve.fetched / "drawn@1" / SIGNATURE).unlink()
    assert one.fetch().returncode == 0


def test_a_release_that_does_not_answer_ends_the_replica_with_a_line_and_was_never_ready(registered, pod):
    _, releases = registered
    one = pod(drawn=DeclaredModel(version="3", release=releases[2].id))
    assert one.fetch().returncode == 0
    one.serve()
    assert one.process.wait(120) == 1
    assert "golden query" in (one.folder / "log").read_text().splitlines()[-1]
    assert not one.home.serve.deployed.exists()
    assert one.processes() == []


def test_another_release_under_the_number_and_a_version_that_is_not_there_are_refused(registered, pod):
    _, releases = registered
    for told, said in (
        (DeclaredModel(version="1", release=releases[1].id), f"Version 1 of drawn is release {releases[0].id}"),
        (DeclaredModel(version="9", release=releases[1].id), "There is no version 9 of drawn."),
    ):
        refused = pod(drawn=told).fetch()
        assert refused.returncode in {2, 3}
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_release_that_was_changed_after_it_was_fetched_is_not_served(registered, pod):
    _, releases = registered
    one = pod(drawn=DeclaredModel(version="1", release=releases[0].id))
    assert one.fetch().returncode == 0
    weights = next(one.home.serve.fetched.rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    one.serve()
    assert one.process.wait(60) == 2
    assert one.processes() == []


def test_what_is_told_and_cannot_be_read_is_one_line(registered, pod):
    one = pod()
    one._environment["GLOCAL_SERVED"] = "photos 3"
    refused = one.fetch()
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "'photos 3'" in refused.stderr

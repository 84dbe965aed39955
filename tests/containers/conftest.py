"""A container engine with the project's images, and a user who may use it and is not root."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from components.runtime.revision import code_revision
from model.containers import Images
from model.errors import GlocalError
from model.home import Home
from pipelines.runners import engine
from tests.support.commands import begin, end

USER = 1000
_SOCKET = Path("/var/run/docker.sock")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session")
def client():
    """A client of the engine, which has the images, built from this code."""
    try:
        with engine.connected() as found:
            for image in Images().model_dump().values():
                if engine.code_of(found, image) != code_revision():
                    pytest.skip(f"{image} was built from other code: make images")
            yield found
    except GlocalError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def user():
    """How a process of somebody is started who is not root and may use the engine."""
    if os.getuid() != 0:
        return {}
    return {"user": USER, "group": USER, "extra_groups": [_SOCKET.stat().st_gid]}


@pytest.fixture(scope="module")
def folder(user):
    """A folder of that user, with a short path that he can reach."""
    made = Path(tempfile.mkdtemp(prefix="glocal-e2e-", dir="/var/tmp"))
    if user:
        os.chown(made, USER, USER)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def glocal(folder, user):
    """Runs a command in a home of the folder: exit code, standard output, standard error."""

    def run(home, words, timeout=800, **variables):
        with begin(
            folder / home,
            words,
            variables={"HOME": str(folder), "GLOCAL_CONTAINER_PUBLISH": "127.0.0.1:8080", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            **user,
        ) as process:
            try:
                out, error = process.communicate(timeout=timeout)
            finally:
                process.kill()
        assert "Traceback" not in out + error, (out + error)[-4000:]
        return process.returncode, out, error

    return run


@pytest.fixture(scope="module")
def containers(client, folder):
    """The name of the home in which containers are used; its endpoint's container ends with the tests."""
    yield "containers"
    home = folder / "containers"
    for container in client.containers.list(all=True, ignore_removed=True):
        if container.name == engine.endpoint_name(Home.at(home)) or container.labels.get(engine.RUN, "").startswith(str(home)):
            with contextlib.suppress(Exception):
                container.remove(force=True)
    end(home)
    end(folder / "local")

"""A container engine with the project's images, and the command line for somebody who may use it and is not root.

Where the tests run as root, the command line runs in a container too: the image is there, and this environment is root's own.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from components.runtime.revision import code_revision
from model.containers import Images
from model.errors import GlocalError
from model.home import Home
from pipelines.runners import container_engine
from tests.support.commands import end

USER = 1000
PUBLISHED = "127.0.0.1:18180"
"""Where nobody else listens, so that two sessions of tests do not meet at 8080."""
_SOCKET = Path("/var/run/docker.sock")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.timeout(3000))  # two commands, each of which has 1,400 s


@pytest.fixture(scope="session")
def client():
    """A client of the engine, which has the images, built from this code."""
    try:
        with container_engine.connected() as found:
            for image in Images().model_dump().values():
                if container_engine.code_of(found, image) != code_revision():
                    pytest.skip(f"{image} was built from other code: make images")
            yield found
    except GlocalError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder():
    """A folder with a short path, which that user owns. The containers have it at the same path."""
    made = Path(tempfile.mkdtemp(prefix="glocal-e2e-", dir="/var/tmp"))
    (made / "tmp").mkdir()
    if os.getuid() == 0:
        for each in (made, made / "tmp"):
            os.chown(each, USER, USER)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def words_of(folder):
    """The words and the variables that start a command of Glocal in a home of the folder, as somebody who is not root."""

    def words(home, command, **variables):
        variables = {
            "GLOCAL_HOME": str(folder / home),
            "GLOCAL_CONTAINER_PUBLISH": PUBLISHED,
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "GLOCAL_CODE_REVISION": code_revision(),
            **{f"GLOCAL_{name.upper()}": image for name, image in Images().model_dump().items()},
            **{name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE") if name in os.environ},
            **variables,
        }
        if os.getuid() != 0:
            return command, variables
        name = f"glocal-e2e-{uuid.uuid4().hex[:8]}"
        begun = ["docker", "run", "--rm", "--name", name, "--network", "host", "--user", f"{USER}:{USER}"]
        begun += ["--group-add", str(_SOCKET.stat().st_gid), "--volume", f"{_SOCKET}:{_SOCKET}", "--volume", f"{folder}:{folder}"]
        begun += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        begun += [word for each, value in variables.items() for word in ("--env", f"{each}={value}")]
        return [*begun, Images().image, "python3", *command[1:]], {}

    return words


@pytest.fixture(scope="module")
def glocal(words_of):
    """Runs a command to its end: exit code, standard output, standard error."""

    def run(home, command, timeout=1400, **variables):
        words, environment = words_of(home, command, **variables)
        done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, timeout=timeout, check=False)
        assert "Traceback" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-4000:]
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def containers(client, folder):
    """The name of the home in which containers are used; all of them end with the tests."""
    yield "containers"
    home = Home.at(folder / "containers")
    for container in client.containers.list(all=True, ignore_removed=True):
        ours = container.name == container_engine.endpoint_name(home) or container.labels.get(
            container_engine.RUN, ""
        ).startswith(str(home.root))
        if ours or container.name.startswith("glocal-e2e-"):
            with contextlib.suppress(Exception):
                container.remove(force=True)
    end(folder / "local")

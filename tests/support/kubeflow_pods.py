"""What a cluster does with a run, on this machine: KFP's local runner runs its steps in a home of their own, with the environment
of a pod. Beside it an MLflow server, as a cluster has one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from model.claim import claim
from model.home import ALIVE, Home
from model.locks import hold
from tests.support.kubeflow import Kubeflow

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TASK = re.compile(r"(Executing task|Task) '([\w-]+)'(?:.*status (SUCCESS|FAILURE))?")
_CACHED = re.compile(r"Task ([\w-]+) cache hit")
_STATES = {"SUCCESS": "SUCCEEDED", "FAILURE": "FAILED", None: "RUNNING"}


class Cluster:
    """Runs what Kubeflow is given.

    Args:
        server: Kubeflow.
        root: Folder of the cluster's home, its artifacts and the output of its runs.
        variables: Environment of every step, as the ConfigMap and the Secret give it to pods.

    Attributes:
        home: The home, which the steps share as pods share a volume.
    """

    def __init__(self, server: Kubeflow, root: Path, variables: dict[str, str]) -> None:
        self.home = root / "home"
        self._server, self._root, self._variables = server, root, variables
        self._processes: dict[str, subprocess.Popen[str]] = {}
        claim(Home.at(self.home))  # before KFP's local runner makes its cache in it
        server.started, server.ended = self._start, self._end

    def _start(self, run, spec: str) -> None:
        threading.Thread(target=self._execute, args=(run, spec), daemon=True).start()

    def _execute(self, run, spec: str) -> None:
        folder = self._root / run.run_id
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(spec)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GLOCAL_")}
        of_the_pod = {
            "GLOCAL_HOME": str(self.home),
            "GLOCAL_KUBEFLOW_RUN": run.run_id,
            "GLOCAL_KUBEFLOW_WORKFLOW": f"glocal-training-{run.run_id[:5]}",
        }
        order = {
            "pipeline": str(folder / "pipeline.yaml"),
            "arguments": run.runtime_config.parameters or {},
            "home": str(self.home),
            "folder": str(folder),
        }
        with hold(folder / ALIVE):
            process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.runners.local", str(folder / ALIVE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=kept | of_the_pod | self._variables,
                start_new_session=True,
            )
            self._processes[run.run_id], run.state = process, "RUNNING"
            process.stdin.write(json.dumps(order))
            process.stdin.close()
            with (folder / "output.log").open("w") as log:
                for line in process.stdout:
                    log.write(line)
                    if cached := _CACHED.search(line):
                        self._server.task(run.run_id, cached[1], "SUCCEEDED")
                    if found := _TASK.search(_COLOUR.sub("", line)):
                        self._server.task(run.run_id, found[2], _STATES[found[3]])
            code = process.wait()
        if run.state == "RUNNING":
            self._server.end(run.run_id, "FAILED" if code else "SUCCEEDED")

    def _end(self, run) -> None:
        run.state = "CANCELED"
        with suppress(KeyError, ProcessLookupError):
            os.killpg(self._processes[run.run_id].pid, signal.SIGKILL)


@contextmanager
def mlflow_server(folder: Path):
    """The address of an MLflow server, for a block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError("The MLflow server did not start.")

"""Kubeflow Trainer for tests: its local-process backend, and the part of Kubernetes' API that its client uses, at a socket."""

import importlib.metadata
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kubeflow.trainer import KubernetesBackendConfig, LocalProcessBackendConfig, TrainerClient
from kubernetes.client import Configuration

from components.runtime.training import TrainJobs

RUNTIME = "torch-distributed"
_TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
_JOBS = f"{_TRAINER}/namespaces/default/trainjobs"


def local_jobs(folder: Path, processes: int) -> TrainJobs:
    """Jobs that are processes of this machine, in an environment of their own that the backend makes.

    The backend installs torch there. It gets a wheel of that name that leads to this environment and has `torchrun`: nothing is
    downloaded. Neither this environment's `pip` nor its packages are seen before, or the backend would install into this one.
    """
    wheel = _wheel_that_leads_here(folder)
    variables = {
        "PATH": "/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PET_NPROC_PER_NODE": str(processes),
        "PET_STANDALONE": "1",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
    }
    client = TrainerClient(LocalProcessBackendConfig())
    return TrainJobs(client, RUNTIME, "", {}, packages=(f"torch @ {wheel.as_uri()}",), variables=variables, look_s=0.5)


def _wheel_that_leads_here(folder: Path) -> Path:
    """A wheel named torch, of the version that is installed here, whose only file names the places of this process's packages."""
    version = importlib.metadata.version("torch")
    info = f"torch-{version}.dist-info"
    files = {
        "here.pth": "".join(f"{Path(path or '.').absolute()}\n" for path in sys.path),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntorchrun = torch.distributed.run:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    wheel = folder / f"torch-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


class Cluster:
    """A control plane without nodes: it keeps the jobs that a client makes, and says of them what a test lets it say.

    Attributes:
        made: The jobs that were made, as they were sent.
        states: What is said of the next jobs, in their order: a function that is called when a job is made and gives its state.
        failing: Number of requests that are answered by an error of the server.
        removed: Names of the jobs that were removed.
    """

    def __init__(self) -> None:
        self.made: list[dict] = []
        self.states: list[Callable[[dict], str]] = []
        self.failing = 0
        self.removed: list[str] = []
        self.jobs: dict[str, dict] = {}

    def make(self, job: dict) -> dict:
        """Keep a job, and let the test's function say what becomes of it."""
        self.made.append(job)
        state = self.states.pop(0)(job)
        job = {**job, "status": {"conditions": [{"type": state, "status": "True", **_CONDITION}]}}
        job["metadata"] = {**job["metadata"], "namespace": "default", "creationTimestamp": "2026-11-30T00:00:00Z"}
        self.jobs[job["metadata"]["name"]] = job
        return job


_CONDITION = {"lastTransitionTime": "2026-11-30T00:00:00Z", "message": "", "reason": "Test"}
_RUNTIME = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "ClusterTrainingRuntime",
    "metadata": {"name": RUNTIME, "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": "auto"}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                            "spec": {"template": {"spec": {"containers": [{"name": "node", "image": "pytorch"}]}}},
                        },
                    }
                ]
            }
        },
    },
}


@contextmanager
def serving(cluster: Cluster) -> Iterator[TrainerClient]:
    """A client of Trainer whose Kubernetes is `cluster`, at a free port."""

    class Door(BaseHTTPRequestHandler):
        def answer(self, found: dict | None, status: int = 200) -> None:
            body = json.dumps(found or {"kind": "Status", "status": "Failure", "code": 404}).encode()
            self.send_response(status if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if cluster.failing and path.startswith(_JOBS):
                cluster.failing -= 1
                self.answer({"kind": "Status", "code": 500}, 500)
            elif path == f"{_TRAINER}/clustertrainingruntimes/{RUNTIME}":
                self.answer(_RUNTIME)
            elif path.startswith(_JOBS):
                self.answer(cluster.jobs.get(path.rpartition("/")[2]))
            elif path == "/api/v1/namespaces/default/pods":
                self.answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})
            else:
                self.answer(None)

        def do_POST(self) -> None:
            self.answer(cluster.make(json.loads(self.rfile.read(int(self.headers["Content-Length"])))), 201)

        def do_DELETE(self) -> None:
            name = self.path.partition("?")[0].rpartition("/")[2]
            cluster.removed.append(name)
            self.answer(cluster.jobs.pop(name, None))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield client_at(server.server_port)
        server.shutdown()


def client_at(port: int) -> TrainerClient:
    """A client of Trainer for a Kubernetes at a port of this machine."""
    configuration = Configuration(host=f"http://127.0.0.1:{port}")
    configuration.retries = False
    return TrainerClient(KubernetesBackendConfig(namespace="default", client_configuration=configuration))

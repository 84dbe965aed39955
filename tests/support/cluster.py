"""A cluster for tests: a real API server with its controllers, and one node of ours that runs pods as processes of this machine.

The tools lie in the folder KUBE_ASSETS, or on the path; `make kube-assets` builds them. A test that needs one which is not there
is skipped, and says why.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).parents[2]
ASSETS = Path(os.environ.get("KUBE_ASSETS", ROOT / ".kube-assets"))
HOW = "make kube-assets builds it where there is Go; KUBE_ASSETS names its folder"
NETWORK = "10.77.0."
"""Addresses of pods, which the tests give to the loopback device."""


def asset(name):
    """A tool, or a folder of schemas; the test is skipped, saying why, where it is not there."""
    if (ASSETS / name).exists():
        return str(ASSETS / name)
    if found := shutil.which(name):
        return found
    return pytest.skip(f"there is no {name}: {HOW}")


def until(true, *, within=60, pause=0.2, what=""):
    """Wait until something is so; returns it."""
    deadline = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < deadline, what or "It did not come to be in time."
        time.sleep(pause)
    return found


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def rendered(overlay):
    """The documents of an overlay."""
    folder = ROOT / "infra" / "kubernetes" / "overlays" / overlay
    made = subprocess.run([asset("kustomize"), "build", folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return [each for each in yaml.safe_load_all(made.stdout) if each]


class Cluster:
    """etcd, kube-apiserver and kube-controller-manager, each a process, all state in one folder."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}
        self.etcd, self.peer, self.port = free_port(), free_port(), free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self.binaries = {
            name: asset(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "kustomize")
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        key = rsa.generate_private_key(65537, 2048)
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "sa.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
        public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / "sa.pub").write_bytes(key.public_key().public_bytes(*public))
        self.kubeconfig = self.write_kubeconfig("admin", self.token)

    def write_kubeconfig(self, name, token):
        """A file by which a client signs in with a token."""
        named = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.address, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(named))
        return file

    def account(self, namespace, name):
        """A KUBECONFIG with a token of an account, as its pods have it."""
        token = until(self.kubectl("create", "token", name, "-n", namespace, check=False).stdout.strip)
        return self.write_kubeconfig(f"{namespace}-{name}", token)

    def run(self, name, *arguments):
        log = (self.folder / f"{name}.log").open("ab")
        command = [self.binaries[name], *arguments]
        self.processes[name] = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def start(self):
        local = f"http://127.0.0.1:{self.etcd}"
        peer = f"http://127.0.0.1:{self.peer}"
        self.run(
            "etcd", "--data-dir=etcd", f"--listen-client-urls={local}", f"--advertise-client-urls={local}", "--unsafe-no-fsync",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        )  # fmt: skip
        self.start_apiserver()
        self.run(
            "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0",
            "--service-account-private-key-file=sa.key", "--use-service-account-credentials=false",
            "--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller",
        )  # fmt: skip
        return self

    def start_apiserver(self):
        self.run(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd}", f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--cert-dir=certs", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--service-account-key-file=sa.pub",
            "--service-account-signing-key-file=sa.key", "--service-account-issuer=https://cluster.test",
            "--service-cluster-ip-range=10.96.0.0/24", "--anonymous-auth=false", "--advertise-address=10.77.0.1",
        )  # fmt: skip
        until(self.answers, within=120, what=f"see {self.folder}/kube-apiserver.log")

    def answers(self):
        assert self.processes["kube-apiserver"].poll() is None, (self.folder / "kube-apiserver.log").read_text()[-2000:]
        return self.kubectl("get", "--raw", "/readyz", check=False).stdout.strip() == "ok"

    def stop_apiserver(self):
        self.end("kube-apiserver")

    def end(self, name):
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self):
        for name in reversed(list(self.processes)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGKILL)
            self.processes.pop(name).wait()

    def kubectl(self, *arguments, given=None, check=True):
        command = [self.binaries["kubectl"], f"--kubeconfig={self.kubeconfig}", *arguments]
        made = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(self.folder)}
        )
        assert not check or made.returncode == 0, f"{arguments}: {made.stderr}"
        return made

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, *documents):
        """Apply documents with server-side validation, under the name by which people apply these files."""
        given = "\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in documents)
        return self.kubectl("apply", "--server-side", "--validate=strict", "--field-manager=people", "-f", "-", given=given)


class Node:
    """One node of a cluster, on which pods are processes of this machine: binds them, runs them, probes them, says how they are.

    Args:
        cluster: The cluster.
        namespace: The namespace whose pods of the endpoint it runs.
        runs: Called with a pod; returns what runs it: an object with `ready()`, `fault()` and `end()`.
    """

    def __init__(self, cluster, namespace, runs):
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._cluster, self._runs, self.running, self._ended = cluster, runs, {}, threading.Event()
        self._http = httpx.Client(
            base_url=cluster.address,
            verify=False,
            headers={"Authorization": f"Bearer {cluster.token}"},
            timeout=10,
        )
        self._addresses = iter(range(2, 250))
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._ending, self.refused = {}, []

    def __enter__(self):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}}
        self._http.post("/api/v1/nodes", json=node)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(30)
        for uid in list(self.running):
            self._end(uid)
        for thread, _ in self._ending.values():
            thread.join(90)

    def _loop(self):
        while not self._ended.wait(0.2):
            with contextlib.suppress(httpx.HTTPError):  # the API server may be away for a while
                self._look()

    def _look(self):
        answer = self._http.get(self._path, params={"labelSelector": "app.kubernetes.io/name=glocal-serve"})
        if not answer.is_success:
            return
        found = {each["metadata"]["uid"]: each for each in answer.json()["items"]}
        for uid in [uid for uid in self.running if uid not in found]:
            self._end(uid)
        for uid in [uid for uid, (thread, path) in self._ending.items() if not thread.is_alive()]:
            _, path = self._ending.pop(uid)
            if path:
                self._http.request("DELETE", path, json={"gracePeriodSeconds": 0})
        for uid, pod in found.items():
            path = f"{self._path}/{pod['metadata']['name']}"
            if "deletionTimestamp" in pod["metadata"]:
                if uid not in self._ending:
                    self._end(uid, path)
            elif uid not in self.running:
                if "nodeName" not in pod["spec"]:
                    binding = {
                        "apiVersion": "v1",
                        "kind": "Binding",
                        "metadata": {"name": pod["metadata"]["name"]},
                        "target": {"kind": "Node", "name": "node"},
                    }
                    self._http.post(f"{path}/binding", json=binding)
                self.running[uid] = self._runs(pod, f"{NETWORK}{next(self._addresses)}")
            else:
                self._say(path, pod, self.running[uid])

    def _end(self, uid, path=""):
        """End a pod, which may take as long as its container wants; then it is gone from the API server."""
        running = self.running.pop(uid, None)
        thread = threading.Thread(target=running.end if running else lambda: None, daemon=True)
        thread.start()
        self._ending[uid] = thread, path

    def _say(self, path, pod, running):
        ready, fault = running.ready(), running.fault()
        container = {
            "name": pod["spec"]["containers"][0]["name"],
            "image": "i",
            "imageID": "i",
            "restartCount": 2 if fault else 0,
            "ready": ready,
        }
        container["state"] = {"terminated": {"exitCode": 1, "message": fault}} if fault else {"running": {}}
        flags = {"Ready": ready, "ContainersReady": ready, "PodScheduled": True, "Initialized": True}
        conditions = [{"type": key, "status": str(value)} for key, value in flags.items()]
        status = {
            "phase": "Running",
            "podIP": running.address,
            "podIPs": [{"ip": running.address}],
            "conditions": conditions,
            "containerStatuses": [container],
        }
        known = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
        told = {each["type"]: each["status"] for each in conditions}
        if known != told or pod["status"].get("containerStatuses", [{}])[0].get("state", {}).keys() != container["state"].keys():
            answer = self._http.patch(
                f"{path}/status", json={"status": status}, headers={"Content-Type": "application/strategic-merge-patch+json"}
            )
            if not answer.is_success and answer.status_code != 404:
                self.refused.append(answer.text)


class Said:
    """A pod of which a test says how it is.

    Args:
        decide: Called with the pod; returns whether it is ready, or a text that it failed with.
    """

    def __init__(self, pod, address, decide):
        self.pod, self.address, self._decide = pod, address, decide

    def ready(self):
        return self._decide(self.pod) is True

    def fault(self):
        found = self._decide(self.pod)
        return found if isinstance(found, str) else ""

    def end(self):
        pass


class Replica:
    """A pod of the endpoint whose containers are processes: `fetch`, then `serve`; it is ready when its probe says so."""

    def __init__(self, pod, address, folder, environment):
        self.pod, self.address, self._folder = pod, address, folder / pod["metadata"]["name"]
        self._folder.mkdir(parents=True)
        subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)
        spec = pod["spec"]
        self._commands = [each["args"] for each in (*spec["initContainers"], *spec["containers"])]
        self._drain = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self._probe = spec["containers"][0]["readinessProbe"]["httpGet"]["path"]
        served = pod["metadata"].get("annotations", {}).get("glocal.io/served", "")
        own = {"GLOCAL_HOME": str(self._folder / "home"), "GLOCAL_GATEWAY_HOST": address, "GLOCAL_SERVED": served}
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment, **own}
        self._environment.pop("GLOCAL_ENDPOINT", None)
        self._environment.pop("GLOCAL_BACKEND", None)
        self._fault, self._process = "", None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        for command in self._commands:
            with (self._folder / "log").open("ab") as log:
                own = [sys.executable if part == "python" else part for part in command]
                self._process = subprocess.Popen(own, env=self._environment, stdout=log, stderr=log, cwd=self._folder)
            if self._process.wait() != 0:
                self._fault = (self._folder / "log").read_text()[-300:]
                return

    def ready(self):
        if self._fault:
            return False
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://{self.address}:8080{self._probe}", timeout=5, trust_env=False).is_success
        return False

    def fault(self):
        return self._fault

    def end(self):
        if self._process is not None and self._process.poll() is None:
            time.sleep(self._drain)
            self._process.terminate()
        self._thread.join(60)
        subprocess.run(["ip", "address", "delete", f"{self.address}/32", "dev", "lo"], check=False)


class Service:
    """A Service of the cluster at a port of this machine: each connection goes to an address of its slices that is ready."""

    def __init__(self, cluster, namespace, name):
        self._cluster, self._path = (
            cluster,
            f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={name}",
        )
        self._http = httpx.Client(
            base_url=cluster.address,
            verify=False,
            headers={"Authorization": f"Bearer {cluster.token}"},
            timeout=10,
        )
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._turn, self._known = 0, []
        threading.Thread(target=self._accept, daemon=True).start()

    def ready(self):
        """Addresses that are ready; those known last while the API server is away."""
        with contextlib.suppress(httpx.HTTPError, KeyError):
            slices = self._http.get(self._path).json()["items"]
            self._known = [
                address
                for each in slices
                for endpoint in each["endpoints"] or ()
                if endpoint["conditions"]["ready"]
                for address in endpoint["addresses"]
            ]
        return self._known

    def close(self):
        self._listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client):
        with client, contextlib.suppress(OSError):
            if not (known := self.ready()):
                return
            self._turn += 1
            with socket.create_connection((known[self._turn % len(known)], 8080), timeout=5) as pod:
                pod.settimeout(None)
                back = threading.Thread(target=_copy, args=(pod, client), daemon=True)
                back.start()
                _copy(client, pod)
                back.join(60)


def _copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

"""The Deployment of what serves, at the API server: read, patched, waited for."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.environment import Environment
from model.errors import Conflict, Forbidden, GlocalError, InvalidInput, NotFound, Unavailable
from model.schemas.declared import Declared, declared_text, read_declared

if TYPE_CHECKING:
    from kubernetes.client import V1ContainerStatus, V1Deployment, V1Pod

SERVED = "glocal.io/served"
"""Annotation of the pods' template: what they are to serve, as `model.schemas.declared` writes it."""
OWNER = "glocal.io/promoted-from"
"""Annotation of the Deployment: id of the home that promotes."""
GATEWAY_PORT = 8080
_TIMES_S = (5, 30)
"""Seconds to connect to the API server, and to wait for its answer."""
_PAUSE_S = 1.0
_ATTEMPTS = 5
_RESTARTS = 2
"""Times that a container of a new pod is started again before the rollout is given up; Kubernetes itself would try on."""
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LOOK = "Look at it: kubectl describe deployment {}, and the logs of its pods."


@dataclass(frozen=True)
class Pod:
    """A pod of the Deployment that is not being ended.

    Attributes:
        name: Its name.
        address: Address of its gateway; empty while the pod has none.
        ready: Whether its gateway says that a worker of every model answers.
        served: What it was told to serve.
        fault: Why a container of it does not run, as the kubelet says; empty if it does.
        restarts: Times that one of its containers was started again.
    """

    name: str
    address: str
    ready: bool
    served: Declared
    fault: str
    restarts: int


class Workload:
    """The Deployment.

    Args:
        namespace: Its namespace; empty: that of this pod, or of KUBECONFIG.
        name: Its name.
        wait_s: Seconds that a rollout may take.
    """

    def __init__(self, namespace: str, name: str, *, wait_s: float) -> None:
        self._apps, self._core, own = _apis()
        self.name, self._namespace, self._wait_s = name, namespace or own, wait_s

    @classmethod
    def chosen(cls) -> "Workload":
        """The Deployment that the settings name.

        Raises:
            InvalidInput: There is neither an account of a pod nor a KUBECONFIG.
        """
        environment = Environment()
        return cls(environment.namespace, environment.deployment, wait_s=environment.rollout_s)

    def declared(self) -> Declared:
        """What the pods are told to serve.

        Raises:
            NotFound: There is no such Deployment.
            Forbidden: The account may not read it.
            Unavailable: The API server does not answer.
        """
        return _declared(self._read())

    def declare(self, change: Callable[[Declared], Declared], owner: str) -> None:
        """Tell the pods to serve something else, which begins a rollout; nothing happens if it is the same.

        Args:
            change: What is to be declared, from what is.
            owner: Id of the home that promotes.

        Raises:
            Conflict: Another home promotes here, or somebody else changed at the same time what is served.
            NotFound, Forbidden, Unavailable: As `declared`.
        """
        found = self._read()
        known = _declared(found)
        if (text := declared_text(change(known))) == declared_text(known):
            return
        for _ in range(_ATTEMPTS):
            _refuse_other_owner(found, owner)
            try:
                self._patch(text, owner, found.metadata.resource_version)
                return
            except Conflict:  # as often as not its state was written meanwhile, which concerns nobody
                found = self._read()
                if _declared(found) != known:
                    raise
        raise Conflict(f"The Deployment {self.name} is changed all the time.", "Try again in a minute.")

    def wait(self) -> None:
        """Wait until all pods are as they were told last, and ready. An API server that is away, or just starts, is waited for.

        Raises:
            Unavailable: They are not within the time that a rollout may take, or Kubernetes has given the rollout up.
        """
        deadline, state, given_up = time.monotonic() + self._wait_s, "nothing is known of it", False
        while True:
            try:
                found = self._read()
                if _is_complete(found):
                    return
                state, was_given_up, given_up = _state(found), given_up, _is_given_up(found)
                if (given_up and was_given_up) or self._keeps_failing(_declared(found)):  # twice: once may be of the one before
                    break
            except (Unavailable, Forbidden) as error:  # it refuses every account while it starts
                state = error.headline
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_S)
        raise Unavailable(f"The pods of {self.name} are not ready: {self._fault() or state}", _LOOK.format(self.name))

    def pods(self) -> Sequence[Pod]:
        """The pods that are not being ended.

        Raises:
            NotFound, Forbidden, Unavailable: As `declared`.
        """
        selector = ",".join(f"{key}={value}" for key, value in self._read().spec.selector.match_labels.items())
        with _named(self.name):
            found = self._core.list_namespaced_pod(self._namespace, label_selector=selector, _request_timeout=_TIMES_S)
        return [_pod(each) for each in found.items if each.metadata.deletion_timestamp is None]

    def _read(self) -> "V1Deployment":
        with _named(self.name):
            return self._apps.read_namespaced_deployment(self.name, self._namespace, _request_timeout=_TIMES_S)

    def _patch(self, text: str, owner: str, seen: str) -> None:
        """Write the annotation, unless the Deployment was changed since its version `seen`."""
        patch = {
            "metadata": {"resourceVersion": seen, "annotations": {OWNER: owner}},
            "spec": {"template": {"metadata": {"annotations": {SERVED: text}}}},
        }
        with _named(self.name):
            self._apps.patch_namespaced_deployment(
                self.name, self._namespace, patch, field_manager="glocal", _request_timeout=_TIMES_S
            )

    def _keeps_failing(self, declared: Declared) -> bool:
        """Whether a pod that was told this has been started again too often."""
        return any(pod.fault and pod.restarts >= _RESTARTS and pod.served == declared for pod in self.pods())

    def _fault(self) -> str:
        """What the kubelet says of the first pod that does not run; empty if it says nothing."""
        try:
            return next((f"{pod.name}: {pod.fault}" for pod in self.pods() if pod.fault), "")
        except GlocalError:
            return ""


def _apis() -> tuple[Any, Any, str]:
    """The two parts of the API that are used, as the pod's account or as KUBECONFIG says, and the namespace of either."""
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_incluster_config(settings)
        namespace = _NAMESPACE.read_text(encoding="utf-8").strip()
    except config.ConfigException:
        file = os.environ.get("KUBECONFIG")  # the client itself reads the variable once, when it is imported
        try:
            config.load_kube_config(file, client_configuration=settings)
            namespace = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
        except (config.ConfigException, OSError) as error:
            raise InvalidInput("No cluster is known.", "Set KUBECONFIG, or run in a pod with an account.") from error
    settings.retries = False  # what is worth a further attempt is tried again here
    api = client.ApiClient(settings)
    return client.AppsV1Api(api), client.CoreV1Api(api), namespace


@contextmanager
def _named(deployment: str) -> Iterator[None]:
    """Errors of the API server in the block, as errors of ours."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        said = f"{error.status} {error.reason}"
        if error.status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"There is no Deployment {deployment}.", "See GLOCAL_NAMESPACE and GLOCAL_DEPLOYMENT.") from error
        if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            hint = "Its account needs the Role glocal-deployer, in infra/kubernetes/base/accounts.yaml."
            raise Forbidden(f"The API server refuses this account ({said}).", hint) from error
        if error.status == HTTPStatus.CONFLICT:
            raise Conflict(f"The Deployment {deployment} was changed meanwhile.", "Try again.") from error
        if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise InvalidInput(f"The API server refuses the change of {deployment}.", str(error.body)[:200]) from error
        raise Unavailable(f"The API server does not answer as it should ({said}).", "Try again in a minute.") from error
    except (HTTPError, OSError) as error:
        raise Unavailable("The API server does not answer.", "See KUBECONFIG, and kubectl get --raw /readyz.") from error


def _declared(found: "V1Deployment") -> Declared:
    return read_declared((found.spec.template.metadata.annotations or {}).get(SERVED, ""))


def _refuse_other_owner(found: "V1Deployment", owner: str) -> None:
    known = (found.metadata.annotations or {}).get(OWNER, owner)
    if known != owner:
        remedy = f"Promote there, or let this home take over: kubectl annotate deployment {found.metadata.name} {OWNER}-"
        raise Conflict(f"Another GLOCAL_HOME promotes at {found.metadata.name}.", remedy)


def _is_complete(found: "V1Deployment") -> bool:
    status, wanted = found.status, found.spec.replicas
    seen = (status.observed_generation or 0) >= found.metadata.generation
    counts = (status.replicas, status.updated_replicas, status.available_replicas)
    return bool(seen and wanted and all(count == wanted for count in counts))


def _is_given_up(found: "V1Deployment") -> bool:
    seen = (found.status.observed_generation or 0) >= found.metadata.generation
    return seen and any(each.reason == "ProgressDeadlineExceeded" for each in found.status.conditions or ())


def _state(found: "V1Deployment") -> str:
    status = found.status
    if not found.spec.replicas:
        return "the Deployment has no pods (replicas is 0)"
    return f"{status.updated_replicas or 0} of {found.spec.replicas} are new, {status.available_replicas or 0} are available"


def _pod(found: "V1Pod") -> Pod:
    conditions = {each.type: each.status for each in found.status.conditions or ()}
    address = f"http://{found.status.pod_ip}:{GATEWAY_PORT}" if found.status.pod_ip else ""
    served = read_declared((found.metadata.annotations or {}).get(SERVED, ""))
    restarts = max((each.restart_count for each in _containers(found)), default=0)
    return Pod(found.metadata.name, address, conditions.get("Ready") == "True", served, _fault_of(found), restarts)


def _containers(found: "V1Pod") -> Iterator["V1ContainerStatus"]:
    yield from found.status.init_container_statuses or ()
    yield from found.status.container_statuses or ()


def _fault_of(found: "V1Pod") -> str:
    """Why a container does not run: what it said last, else why it is not started."""
    for each in _containers(found):
        ended = each.state.terminated or (each.last_state and each.last_state.terminated)
        if ended is not None and ended.exit_code:
            return f"{each.name} ended with exit code {ended.exit_code}. {(ended.message or '').strip()[-300:]}".strip()
        waiting = each.state.waiting
        if waiting is not None and waiting.reason not in {"PodInitializing", "ContainerCreating"}:
            return f"{each.name}: {waiting.reason}. {waiting.message or ''}".strip()
    return ""

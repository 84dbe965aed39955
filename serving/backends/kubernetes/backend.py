"""The adapter: the server of models and the gateway before it are pods of a cluster, and this home promotes there.

Nothing is started or ended here. `serve/place.json` holds the id by which the Deployment knows the home that promotes.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from model.environment import Environment
from model.errors import GlocalError, InvalidInput
from model.files import read_json, write_json
from model.home import ServeFolder
from model.schemas.status import Difference
from serving.backends.kubernetes.loading import KubernetesLoading, held
from serving.backends.kubernetes.workload import Workload
from serving.backends.port import Asking, Backend, Loading, State

NAME = "kubernetes"


class KubernetesBackend:
    """`serving.backends.port.Backend` over a Deployment whose pods are replicas of the endpoint."""

    name = NAME
    is_elsewhere = True

    def wrapping(self, name: str, version: str) -> Mapping[str, bytes]:
        """See `Backend.wrapping`: nothing, as each pod packs what its own server needs."""
        return {}

    def ensure(self, folder: ServeFolder) -> None:
        """See `Backend.ensure`: the cluster must answer, and have the Deployment."""
        Workload.chosen().declared()

    def runs(self, folder: ServeFolder) -> bool:
        """See `Backend.runs`: where the setting names it. Whether it answers is seen when it is asked."""
        return Environment().backend == NAME

    def answers(self, folder: ServeFolder) -> bool:
        """See `Backend.answers`."""
        try:
            Workload.chosen().declared()
        except GlocalError:
            return False
        return True

    def state(self, folder: ServeFolder) -> State | None:
        """See `Backend.state`."""
        try:
            return State(healthy=True, pid=None, memory_mb=0.0, held=held(Workload.chosen()))
        except GlocalError:
            return State(healthy=False, pid=None, memory_mb=0.0)

    def damages(self, folder: ServeFolder) -> Sequence[Difference]:
        """See `Backend.damages`: there are no files."""
        return ()

    def stop(self, folder: ServeFolder) -> bool:
        """See `Backend.stop`: nothing runs here, and what serves on the cluster serves on."""
        return False

    @contextmanager
    def loading(self, folder: ServeFolder) -> Iterator[Loading]:
        """See `Backend.loading`."""
        yield KubernetesLoading(Workload.chosen(), _owner(folder))

    def asking(self, folder: ServeFolder) -> Asking:
        """See `Backend.asking`: the gateways that ask are in the pods."""
        raise InvalidInput("No gateway runs in this home.", "Ask the endpoint at GLOCAL_ENDPOINT.")

    def replicas(self, folder: ServeFolder) -> Sequence[str]:
        """See `Backend.replicas`: the pods that are ready."""
        return [pod.address for pod in Workload.chosen().pods() if pod.ready]


def _owner(folder: ServeFolder) -> str:
    """The id of this home, which is made once."""
    try:
        return str(read_json(folder.place)["id"])
    except (OSError, ValueError, KeyError, TypeError):
        write_json(folder.place, {"id": secrets.token_hex(8)})
        return _owner(folder)


BACKEND: Backend = KubernetesBackend()

"""Versions are loaded and unloaded by what the pods are told to serve: each change is a rollout of the Deployment.

A version that is to serve takes the place of the one before it in the same rollout: the pods of the one before serve until those
of the new one are ready, which are ready once the new one has answered its golden queries in each of them
(`serving.replica`). To unload it then is to undo it.
"""

from collections.abc import Mapping, Sequence

from model.schemas.declared import Declared, DeclaredChallenger, DeclaredModel, DeclaredVersion
from model.schemas.status import ServedVersion, Worker
from serving.archive import stored_manifest
from serving.backends.kubernetes.workload import Workload
from serving.backends.port import Stored


class KubernetesLoading:
    """`serving.backends.port.Loading` over a Deployment.

    Args:
        workload: The Deployment.
        owner: Id of the home that promotes.
    """

    def __init__(self, workload: Workload, owner: str) -> None:
        self._workload, self._owner = workload, owner
        self._replaced: dict[tuple[str, str], DeclaredModel | None] = {}

    def held(self) -> Mapping[str, Sequence[ServedVersion]]:
        """See `Loading.held`: the versions that a pod which is ready was told to serve; each pod counts as a worker."""
        return held(self._workload)

    def begin(self, stored: Stored) -> None:
        """See `Loading.begin`: nothing, as a rollout is not begun before it is decided."""

    def load(self, stored: Stored) -> None:
        """See `Loading.load`. The pods fetch the release from the registry; the archive says only which it is."""
        release = stored_manifest(stored.archive).release_id
        wanted = DeclaredVersion(version=stored.version, release=release, workers=stored.workers)

        def change(declared: Declared) -> Declared:
            known = declared.get(stored.name)
            if stored.challenge is not None and known is not None:
                challenger = DeclaredChallenger(**wanted.model_dump(), challenge=stored.challenge)
                return {**declared, stored.name: known.model_copy(update={"challenger": challenger})}
            if known is not None and known.version == wanted.version and known.release == wanted.release:
                return {**declared, stored.name: known.model_copy(update={"workers": wanted.workers})}
            self._replaced[stored.name, stored.version] = known
            return {**declared, stored.name: DeclaredModel(**wanted.model_dump())}

        self._workload.declare(change, self._owner)
        self._workload.wait()

    def unload(self, name: str, version: str) -> None:
        """See `Loading.unload`. A version that this process let serve is undone: the one before it serves."""

        def change(declared: Declared) -> Declared:
            known = declared.get(name)
            others = {each: model for each, model in declared.items() if each != name}
            if known is None or version not in {known.version, known.challenger and known.challenger.version}:
                return declared
            if known.version != version:
                return {**others, name: known.model_copy(update={"challenger": None})}
            before = self._replaced.get((name, version))
            return {**others, name: before} if before is not None else others

        if change(declared := self._workload.declared()) != declared:
            self._workload.declare(change, self._owner)
            if change(declared):
                self._workload.wait()

    def waiting(self, name: str, version: str) -> int:
        """See `Loading.waiting`: none, as a pod answers what it was asked before it ends."""
        return 0


def held(workload: Workload) -> dict[str, list[ServedVersion]]:
    """The versions that a ready pod was told to serve, by name of the model."""
    found: dict[str, dict[str, list[Worker]]] = {}
    for pod in workload.pods():
        for name, model in pod.served.items() if pod.ready else ():
            for each in (model, model.challenger):
                if each is not None:
                    worker = Worker(id=pod.name, pid=0, status="READY")
                    found.setdefault(name, {}).setdefault(each.version, []).append(worker)
    return {
        name: [ServedVersion(version=version, workers=tuple(workers), waiting=0) for version, workers in versions.items()]
        for name, versions in found.items()
    }

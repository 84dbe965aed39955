"""Where a training runs: in the step, in processes that the step starts, or on several machines.

On several machines it is a TrainJob of Kubeflow Trainer: one pod for each machine, and torchrun in each. The step orders it,
waits and reports. Order, progress, checkpoints and result lie in GLOCAL_HOME, on a volume that all pods mount. A job that loses a
pod, as by pre-emption, is made again and goes on after the last step on record; a step that is tried again finds its job.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.runtime.step import Step
from components.runtime.training_pods import pod_options, resources_of
from model.cluster import NODE_SETTINGS, Nodes
from model.containers import Images
from model.errors import GlocalError, InvalidInput, NotFound, Terminated, Unavailable
from model.files import atomic_folder, sha256_json
from model.schemas.train_report import TrainReport, read_training
from model.training.epochs import RESUMES
from model.training.order import FAILURE, ORDER, TrainOrder, failure_of, followed
from model.training.processes import RESTARTS, launch
from model.training.stopping import sigterm_flag

if TYPE_CHECKING:
    from kubeflow.trainer import TrainerClient

FOLDER = "GLOCAL_TRAINING"
"""Variable of a job's pods with the folder of the order."""
_COMPLETE, _FAILED = "Complete", "Failed"
_LOG = logging.getLogger(__name__)


def train_as_ordered(order: TrainOrder, current: Step) -> TrainReport:
    """Train as ordered, on as many machines as `train.nodes` says. Raises what `launch` and `TrainJobs.train` do."""
    if order.train.nodes == 1:
        return launch(order, current.progress)
    run = current.environment.run_id or current.environment.kubeflow_run
    return TrainJobs.of_cluster(order).train(order, run, current)


def train_node() -> None:
    """What every process of a job does. Trainer's client sends its text to the pods, so it imports all itself."""
    import os
    from pathlib import Path

    from model.training.order import carry_out

    carry_out(Path(os.environ["GLOCAL_TRAINING"]))


@dataclass(frozen=True)
class TrainJobs:
    """Jobs of Kubeflow Trainer, by its client.

    Attributes:
        client: Client of Trainer, whose backend is a cluster, or processes of this machine.
        runtime: Name of the TrainingRuntime or ClusterTrainingRuntime that the jobs follow.
        image: Image of the pods.
        resources: What each machine must have, by Kubernetes' names of the resources.
        packages: Packages that the pods install first; none where the image has all.
        variables: Further environment variables of the processes.
        options: Further options of the jobs.
        look_s: Seconds between two looks at a job.
        patience_s: Seconds for which a job is waited for while its cluster does not answer.
    """

    client: "TrainerClient"
    runtime: str
    image: str
    resources: Mapping[str, str | int]
    packages: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[Any] = ()
    look_s: float = 2.0
    patience_s: float = 600.0

    @classmethod
    def of_cluster(cls, order: TrainOrder) -> "TrainJobs":
        """The jobs of the cluster that this pod is in, or that KUBECONFIG names.

        Raises:
            InvalidInput: Trainer's client is not installed, or there is no cluster.
        """
        try:
            from kubeflow.trainer import KubernetesBackendConfig, TrainerClient
            from kubernetes.config import ConfigException
        except ImportError as error:
            said = "train.nodes above 1 needs the client of Kubeflow Trainer."
            raise InvalidInput(said, "Install glocal[train], or set train.nodes=1.") from error
        nodes = Nodes.model_validate_json(os.environ.get(NODE_SETTINGS) or "{}")
        try:
            client = TrainerClient(KubernetesBackendConfig())
        except ConfigException as error:
            said = "train.nodes above 1 needs a cluster with Kubeflow Trainer, and there is none here."
            raise InvalidInput(said, "Set train.nodes=1, or run it with --runner kubeflow.") from error
        if not nodes.cluster_volume:
            said = "train.nodes above 1 needs a volume that all pods mount."
            raise InvalidInput(said, "Set GLOCAL_CLUSTER_VOLUME where the pipeline is compiled.")
        return cls(client, nodes.trainer_runtime, Images().train_image, resources_of(order, nodes), options=pod_options(nodes))

    def train(self, order: TrainOrder, run: str, current: Step) -> TrainReport:
        """Train on several machines, and wait.

        Args:
            order: What is trained. Its work folder must lie where all machines see it.
            run: Id of the run: its steps that are tried again have one job.
            current: The step, which reports the progress.

        Raises:
            GlocalError: The error of the training, or the job failed again and again.
            Terminated: SIGTERM arrived; the job was ended. The same call resumes.
            Unavailable: The cluster did not answer for too long.
        """
        name = f"glocal-{sha256_json([run, order.model_dump(mode='json', exclude={'out'})])[:20]}"
        folder = order.work / "training" / name
        shared = order.model_copy(update={"out": folder / "trained"})
        if not (folder / ORDER).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            shared.save(folder / ORDER)
        with followed(folder, current.progress), sigterm_flag() as stopping:
            for left in reversed(range(RESTARTS + 1)):
                if self._run(name, folder, order, stopping):
                    break
                failure = failure_of(folder)
                if failure and not failure.retry:
                    raise failure
                if not left:
                    said = f"The TrainJob {name} failed {RESTARTS + 1} times."
                    raise failure or GlocalError(said, f"The log says why. {RESUMES}")
        with atomic_folder(order.out) as out:
            shutil.copytree(shared.out, out, dirs_exist_ok=True)
        shutil.rmtree(folder)
        return read_training(order.out)

    def _run(self, name: str, folder: Path, order: TrainOrder, stopping: Any) -> bool:
        """Begin a job, unless it is there and goes on, and wait for its end; returns whether it completed. Then it is removed."""
        if self._state(name) == _FAILED:
            self._remove(name)
        if self._state(name) is None:
            (folder / FAILURE).unlink(missing_ok=True)
            self._begin(name, folder, order)
        with self._removing(name):
            for state in self._states(name):
                if state == _COMPLETE:
                    return True
                if state == _FAILED:
                    _LOG.warning("The TrainJob %s failed. %s", name, self._last_words(name))
                    return False
                if stopping():
                    raise Terminated(f"Stopped, and the TrainJob {name} with it.", RESUMES)
        return False

    def _begin(self, name: str, folder: Path, order: TrainOrder) -> None:
        from kubeflow.trainer import CustomTrainer
        from kubeflow.trainer.options import Name

        trainer = CustomTrainer(
            func=train_node,
            image=self.image,
            packages_to_install=list(self.packages) or None,
            num_nodes=order.train.nodes,
            resources_per_node=dict(self.resources),
            env={**self.variables, FOLDER: str(folder.absolute())},
        )
        try:
            self.client.train(runtime=self.runtime, trainer=trainer, options=[Name(name), *self.options])
        except (RuntimeError, TimeoutError, ValueError) as error:
            raise Unavailable(f"The TrainJob cannot be made: {_reason(error)}", "Is Kubeflow Trainer installed?") from error

    def _states(self, name: str) -> Iterator[str]:
        """The state of a job, again and again. A job that is gone has failed."""
        answered = time.monotonic()
        while True:
            try:
                state = self._state(name)
                answered = time.monotonic()
                yield state or _FAILED
            except Unavailable:
                if time.monotonic() - answered > self.patience_s:
                    raise
            time.sleep(self.look_s)

    def _state(self, name: str) -> str | None:
        """The state of a job; None if there is no such job.

        Raises:
            Unavailable: The cluster does not answer.
        """
        try:
            return str(self.client.get_job(name).status)
        except (RuntimeError, TimeoutError, ValueError) as error:
            if isinstance(error, ValueError) or getattr(error.__cause__, "status", 0) == NotFound.http_status:
                return None
            said = f"The TrainJob {name} cannot be looked at: {_reason(error)}"
            raise Unavailable(said, "The same command looks again.") from error

    @contextlib.contextmanager
    def _removing(self, name: str) -> Iterator[None]:
        """Remove a job after the block, however it ends."""
        try:
            yield
        finally:
            self._remove(name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(RuntimeError, TimeoutError, ValueError):
            self.client.delete_job(name)

    def _last_words(self, name: str) -> str:
        """The end of the first pod's log; empty if there is none."""
        with contextlib.suppress(Exception):  # of whichever backend
            return "".join(self.client.get_job_logs(name))[-2000:]
        return ""


def _reason(error: BaseException) -> str:
    """The first line of an error and of its cause."""
    return " ".join(str(each).splitlines()[0][:200] for each in (error, error.__cause__) if each and str(each))

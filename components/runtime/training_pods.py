"""The pods of a training on several machines: what they ask of their nodes, by the settings of `model.cluster.Nodes`."""

from typing import Any

from model.cluster import POD_HOME, Nodes, Toleration
from model.training.order import TrainOrder

_POD = "node"
"""Name that Trainer's runtimes for torchrun give the pods' job and its container."""


def resources_of(order: TrainOrder, nodes: Nodes) -> dict[str, str | int]:
    """What each machine must have. Trainer starts a process for each GPU, or else for each processor."""
    processes = order.train.processes or max(1, nodes.cluster_gpus)
    memory = {"memory": nodes.cluster_compute_memory}
    if nodes.cluster_gpus and order.train.device != "cpu":
        return {nodes.cluster_gpu: processes, "cpu": nodes.cluster_compute_cpu, **memory}
    return {"cpu": processes, **memory}


def pod_options(nodes: Nodes) -> tuple[Any, ...]:
    """The volume, the nodes and the rights of a job's pods, which need no secret. They are ended with the time of the step."""
    from kubeflow.trainer.options import kubernetes as trainer

    gpus = nodes.cluster_gpus > 0
    tolerations = (*nodes.cluster_tolerations, *(nodes.cluster_gpu_tolerations if gpus else ()))
    places = {"home": (POD_HOME, {"persistentVolumeClaim": {"claimName": nodes.cluster_volume}})}
    if nodes.cluster_shared_memory != "0":
        places["shm"] = ("/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": nodes.cluster_shared_memory}})  # noqa: S108
    pod = trainer.PodSpecPatch(
        volumes=[{"name": name, **volume} for name, (_, volume) in places.items()],
        containers=[
            trainer.ContainerPatch(
                name=_POD,
                env=[{"name": "GLOCAL_HOME", "value": POD_HOME}],
                volume_mounts=[{"name": name, "mountPath": path} for name, (path, _) in places.items()],
                security_context={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            )
        ],
        security_context={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        node_selector={**nodes.cluster_node_selector, **(nodes.cluster_gpu_node_selector if gpus else {})} or None,
        tolerations=[_toleration(each) for each in tolerations] or None,
        image_pull_secrets=[{"name": nodes.cluster_pull_secret}] if nodes.cluster_pull_secret else None,
    )
    template = trainer.JobTemplatePatch(spec=trainer.JobSpecPatch(template=trainer.PodTemplatePatch(spec=pod)))
    jobs = trainer.JobSetSpecPatch(replicated_jobs=[trainer.ReplicatedJobPatch(name=_POD, template=template)])
    patch = trainer.TrainingRuntimeSpecPatch(template=trainer.JobSetTemplatePatch(spec=jobs))
    return trainer.RuntimePatch(training_runtime_spec=patch), trainer.ActiveDeadlineSeconds(nodes.cluster_compute_minutes * 60)


def _toleration(each: Toleration) -> dict[str, str]:
    asked = {"key": each.key, "operator": each.operator, "value": each.value, "effect": each.effect}
    return {name: text for name, text in asked.items() if text}

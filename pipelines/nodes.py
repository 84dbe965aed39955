"""What the steps ask of a cluster's nodes, by the settings of `model.cluster.Nodes`. The local runners heed only the retries."""

from kfp import dsl, kubernetes

from components.runtime.image import TRAIN_IMAGE
from model.cluster import NODE_SETTINGS, POD_HOME, Labels, Nodes, Tolerations

_OF_THE_POD = {
    "GLOCAL_KUBEFLOW_RUN": "metadata.labels['pipeline/runid']",
    "GLOCAL_KUBEFLOW_WORKFLOW": "metadata.labels['workflows.argoproj.io/workflow']",
}
"""Variables by which a step knows its run, and the fields of its pod where Kubeflow says so."""
NODES = Nodes()


def on_node(
    task: dsl.PipelineTask, *, minutes: int = NODES.cluster_minutes, cpu: str = "", memory: str = "", nodes: Nodes = NODES
) -> dsl.PipelineTask:
    """Requirements of every step: state, places, secrets, its share of a node, a time limit, and retries after faults."""
    if nodes.cluster_volume:
        kubernetes.mount_pvc(task, pvc_name=nodes.cluster_volume, mount_path=POD_HOME)
    for variable, field in _OF_THE_POD.items():
        kubernetes.use_field_path_as_env(task, env_name=variable, field_path=field)
    places = {name: name for name in nodes.cluster_config_keys}
    kubernetes.use_config_map_as_env(task, nodes.cluster_config, config_map_key_to_env=places, optional=True)
    for variable, place in nodes.cluster_secrets.items():
        secret, _, key = place.partition("/")
        kubernetes.use_secret_as_env(task, secret, secret_key_to_env={key: variable}, optional=True)
    if nodes.cluster_pull_secret:
        kubernetes.set_image_pull_secrets(task, [nodes.cluster_pull_secret])
    if nodes.cluster_pull_policy:
        kubernetes.set_image_pull_policy(task, nodes.cluster_pull_policy)
    _admit(task, nodes.cluster_node_selector, nodes.cluster_tolerations)
    kubernetes.set_timeout(task, minutes * 60)
    memory = memory or nodes.cluster_memory
    task.set_cpu_request(cpu or nodes.cluster_cpu).set_memory_request(memory).set_memory_limit(memory)
    backoff = f"{nodes.cluster_backoff_s}s"
    return task.set_retry(nodes.cluster_retries, backoff_duration=backoff, backoff_factor=2, backoff_max_duration="60s")


def on_import_node(task: dsl.PipelineTask, *, nodes: Nodes = NODES) -> dsl.PipelineTask:
    """Requirements of a step that may import a large data set."""
    return on_node(task, minutes=nodes.cluster_import_minutes, nodes=nodes)


def on_compute_node(task: dsl.PipelineTask, *, nodes: Nodes = NODES) -> dsl.PipelineTask:
    """Requirements of a step that embeds images or searches: more time, processors and memory."""
    minutes, cpu, memory = nodes.cluster_compute_minutes, nodes.cluster_compute_cpu, nodes.cluster_compute_memory
    return on_node(task, minutes=minutes, cpu=cpu, memory=memory, nodes=nodes)


def on_training_node(task: dsl.PipelineTask, *, nodes: Nodes = NODES) -> dsl.PipelineTask:
    """Requirements of the training: GPUs, their nodes, and the shared memory by which its processes exchange gradients.

    It hands the settings on to the pods that it starts where `train.nodes` is above 1.
    """
    task.set_env_variable(NODE_SETTINGS, nodes.model_dump_json(exclude_defaults=True))
    task.set_env_variable("GLOCAL_TRAIN_IMAGE", TRAIN_IMAGE)
    on_compute_node(task, nodes=nodes)
    if nodes.cluster_gpus:
        task.set_accelerator_type(nodes.cluster_gpu).set_accelerator_limit(nodes.cluster_gpus)
        _admit(task, nodes.cluster_gpu_node_selector, nodes.cluster_gpu_tolerations)
    if nodes.cluster_shared_memory != "0":
        size = nodes.cluster_shared_memory
        kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit=size)  # noqa: S108
    return task


def _admit(task: dsl.PipelineTask, labels: Labels, tolerations: Tolerations) -> None:
    """Let a step on the nodes with these labels and taints."""
    for key, value in labels.items():
        kubernetes.add_node_selector(task, key, value)
    for taint in tolerations:
        kubernetes.add_toleration(
            task, key=taint.key, operator=taint.operator, value=taint.value or None, effect=taint.effect or None
        )

"""Requirements of steps on a cluster's nodes. The local runner heeds only the retries."""

from kfp import dsl, kubernetes

SECRET = "glocal"  # noqa: S105  # the secret's name
VOLUME, HOME = "glocal-home", "/var/lib/glocal"


def on_node(task: dsl.PipelineTask, *, minutes: int = 60) -> dsl.PipelineTask:
    """Requirements of every step: the state volume, the secrets, a time limit, and a retry after a fault of the node."""
    kubernetes.mount_pvc(task, pvc_name=VOLUME, mount_path=HOME)
    kubernetes.use_secret_as_env(
        task,
        secret_name=SECRET,
        secret_key_to_env={"aws-access-key-id": "AWS_ACCESS_KEY_ID", "aws-secret-access-key": "AWS_SECRET_ACCESS_KEY"},
        optional=True,
    )
    kubernetes.set_timeout(task, minutes * 60)
    return task.set_retry(num_retries=1, backoff_duration="5s", backoff_factor=2, backoff_max_duration="60s")


def on_gpu(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Requirements of a step that a GPU makes fast: the node, the toleration, and shared memory for the loader's workers."""
    on_node(task, minutes=24 * 60)
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_cpu_request("2").set_memory_request("8Gi")
    kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit="8Gi")  # noqa: S108
    return task

"""Settings of a cluster, read from `GLOCAL_*` variables: how Kubeflow Pipelines is reached, and what the steps ask of its nodes.

`Kubeflow` counts where a run is started. `Nodes` counts where a pipeline is compiled: its values stand in the compiled file.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.environment import Names

POD_HOME = "/var/lib/glocal"
"""GLOCAL_HOME in the images, where the volume of the cluster is mounted."""
NODE_SETTINGS = "GLOCAL_NODE_SETTINGS"
"""Variable of the step train with the settings of the nodes, as JSON: those that the pipeline was compiled with."""
QUANTITY = r"^\d+(\.\d+)?([EPTGMk]i?|m)?$"
"""Pattern of Kubernetes' amounts of memory and of processor time."""
CONFIG = (
    "GLOCAL_TRACKING_URI",
    "GLOCAL_DATA_REMOTE",
    "GLOCAL_MILVUS_URI",
    "GLOCAL_BACKEND",
    "GLOCAL_ENDPOINT",
    "GLOCAL_NAMESPACE",
    "GLOCAL_DEPLOYMENT",
    "GLOCAL_ROLLOUT_S",
    "GLOCAL_USER",
    "GLOCAL_LOG_LEVEL",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
)
"""Variables that the steps have from the manifests' ConfigMap `glocal`."""
SECRETS = {
    name: f"glocal/{name}"
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "GLOCAL_KEY",
        "GLOCAL_DATA_GIT",
        "GLOCAL_MILVUS_TOKEN",
    )
}
"""Variables that the steps have from the manifests' Secret `glocal`, and their places in it."""
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class Toleration(NamedTuple):
    """A taint of nodes that a pod bears.

    Attributes:
        key: The taint's key.
        value: Its value; empty: any.
        effect: Its effect; empty: any.
    """

    key: str
    value: str
    effect: str

    @property
    def operator(self) -> str:
        """Kubernetes' word for how the taint's value is compared."""
        return "Equal" if self.value else "Exists"

    def __str__(self) -> str:
        return f"{self.key}{'=' if self.value else ''}{self.value}{':' if self.effect else ''}{self.effect}"


def _labels(text: object) -> object:
    """`key=value,key=value` as a mapping."""
    if not isinstance(text, str):
        return text
    pairs = [each.strip().partition("=") for each in text.split(",") if each.strip()]
    if wrong := [key for key, sign, _ in pairs if not sign or not key]:
        raise ValueError(f"{wrong[0] or '='} is no key=value")
    return {key: value for key, _, value in pairs}


def _tolerations(text: object) -> object:
    """`key[=value][:effect],...` as tolerations."""
    if not isinstance(text, str):
        return text
    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        taint, _, effect = each.partition(":")
        key, _, value = taint.partition("=")
        if not key or effect not in {"", *_EFFECTS}:
            raise ValueError(f"{each} is no key[=value][:effect] with an effect of {', '.join(_EFFECTS)}")
        found.append(Toleration(key, value, effect))
    return tuple(found)


def _secrets(text: object) -> object:
    """`VARIABLE=secret/key,...` as a mapping."""
    found = _labels(text)
    if isinstance(found, dict) and (wrong := [each for each in found.values() if not re.fullmatch(r"[^/]+/[^/]+", str(each))]):
        raise ValueError(f"{wrong[0]} is no secret/key")
    return found


Labels = Annotated[dict[str, str], NoDecode, BeforeValidator(_labels)]
Secrets = Annotated[dict[str, str], NoDecode, BeforeValidator(_secrets)]
Tolerations = Annotated[tuple[Toleration, ...], NoDecode, BeforeValidator(_tolerations)]
Quantity = Annotated[str, Field(pattern=QUANTITY)]


class Kubeflow(BaseSettings):
    """How Kubeflow Pipelines is reached, and in whose name runs are started there."""

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore", frozen=True)

    kubeflow_host: str = Field(
        "", description="Address of Kubeflow Pipelines, such as `http://127.0.0.1:8888`; empty: by KUBECONFIG, or the pod's"
    )
    kubeflow_namespace: str = Field("", description="Namespace of the runs, for a Kubeflow of several users; empty: the only one")
    kubeflow_experiment: str = Field("glocal", min_length=1, description="Experiment in Kubeflow that the runs stand in")
    kubeflow_service_account: str = Field("", description="Kubernetes service account of the steps; empty: Kubeflow's own")
    kubeflow_pipeline_root: str = Field(
        "", description="Where Kubeflow keeps artifacts, such as `s3://bucket/runs`; empty: its own"
    )
    kubeflow_token_file: Path | None = Field(
        None,
        description="File of the bearer token for Kubeflow, read anew before every call, so that it may be renewed meanwhile",
    )
    kubeflow_ca_file: Path | None = Field(None, description="File of the certificates that Kubeflow's is checked by")
    kubeflow_timeout_s: float = Field(30.0, gt=0, description="Seconds for an answer of Kubeflow's")
    kubeflow_patience_s: float = Field(
        600.0, ge=0, description="Seconds for which a run is followed on while Kubeflow does not answer or refuses the token"
    )
    kubeflow_look_s: float = Field(3.0, gt=0, description="Seconds between two looks at a run in Kubeflow")

    @property
    def address(self) -> str:
        """The address: the setting, or the variable by which KFP's own client finds it; empty: by KUBECONFIG."""
        return self.kubeflow_host or os.environ.get("KF_PIPELINES_ENDPOINT", "")

    @field_validator("kubeflow_token_file", "kubeflow_ca_file", mode="before")
    @classmethod
    def _unset(cls, file: object) -> object:
        return None if file == "" else file


class Nodes(BaseSettings):
    """What the steps of a pipeline ask of a cluster's nodes. It counts when the pipeline is compiled."""

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore", frozen=True)

    cluster_volume: str = Field(
        "glocal-home",
        description="Claim of the volume with GLOCAL_HOME, which all nodes can mount at once; empty: none, so nothing is resumed",
    )
    cluster_config: str = Field("glocal", description="ConfigMap with places for the steps, by the names of the variables")
    cluster_config_keys: Names = Field(
        CONFIG, description="Variables, with commas, that the steps have from it; all are optional"
    )
    cluster_secrets: Secrets = Field(
        SECRETS, description="Variables that the steps have from Secrets, as `VARIABLE=secret/key`, with commas; all are optional"
    )
    cluster_pull_secret: str = Field("", description="Secret by which the nodes pull the images; empty: none")
    cluster_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = Field(
        "", description="When the nodes pull the images; empty: as Kubernetes does by default"
    )
    cluster_node_selector: Labels = Field({}, description="Labels of the nodes of all steps, as `key=value,key=value`")
    cluster_tolerations: Tolerations = Field((), description="Taints that all steps bear, as `key[=value][:effect]`, with commas")
    cluster_cpu: Quantity = Field("1", description="Processors that a step asks for")
    cluster_memory: Quantity = Field("4Gi", description="Memory of a step")
    cluster_minutes: int = Field(60, gt=0, description="Minutes after which a step is ended")
    cluster_import_minutes: int = Field(240, gt=0, description="Minutes after which the step version is ended")
    cluster_compute_cpu: Quantity = Field(
        "2", description="Processors that each of the steps train, embed, index, evaluate and enrol asks for"
    )
    cluster_compute_memory: Quantity = Field("8Gi", description="Memory of each of these steps")
    cluster_compute_minutes: int = Field(24 * 60, gt=0, description="Minutes after which one of these steps is ended")
    cluster_gpu: str = Field("nvidia.com/gpu", min_length=1, description="Kind of GPU, as nodes name the resource")
    cluster_gpus: int = Field(1, ge=0, le=64, description="GPUs of the step train, the only one that uses any; 0: none")
    cluster_gpu_node_selector: Labels = Field({}, description="Labels of its nodes where it has GPUs, beside those of all steps")
    cluster_gpu_tolerations: Tolerations = Field(
        (Toleration("nvidia.com/gpu", "", "NoSchedule"),), description="Taints that it bears then, beside those of all steps"
    )
    cluster_shared_memory: Quantity = Field("2Gi", description="Size of its `/dev/shm`, part of its memory; 0: the node's")
    trainer_runtime: str = Field(
        "torch-distributed", min_length=1, description="TrainingRuntime of Kubeflow Trainer for `train.nodes` above 1"
    )
    cluster_retries: int = Field(1, ge=0, le=10, description="Times that a failed step is tried again")
    cluster_backoff_s: int = Field(5, ge=0, description="Seconds before it is; twice as many each time, at most a minute")

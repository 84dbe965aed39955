"""Compiled pipelines as versions in Kubeflow: one pipeline for each of ours, one version for each content of its file."""

import importlib.metadata
import json
import re
from dataclasses import dataclass
from pathlib import Path

from components.runtime.revision import code_revision
from model.errors import Conflict, Unavailable
from model.files import sha256_file
from pipelines.kubeflow.connection import Connection

_EQUALS = 1
"""Kubeflow's number for the operation of a filter."""


@dataclass(frozen=True)
class PipelineVersion:
    """A version of a pipeline in Kubeflow.

    Attributes:
        pipeline: Name of the pipeline, such as `glocal-training`.
        name: Name of the version.
        pipeline_id: Id of the pipeline.
        version_id: Id of the version.
    """

    pipeline: str
    name: str
    pipeline_id: str
    version_id: str


def upload(connection: Connection, file: Path, pipeline: str) -> PipelineVersion:
    """Upload a compiled pipeline, unless Kubeflow has this version already. Two uploads at once make one version.

    Args:
        connection: The connection.
        file: The compiled file.
        pipeline: Name of the pipeline, such as `training`.

    Raises:
        GlocalError: See `Connection.asking`.
    """
    name, version = f"glocal-{pipeline}", version_name(file)
    pipeline_id = _pipeline_id(connection, name) or _made(connection, name)
    found = _version_id(connection, pipeline_id, version)
    if not found:
        try:
            with connection.asking("to take a version of the pipeline"):
                uploaded = connection.client.upload_pipeline_version(
                    str(file), version, pipeline_id=pipeline_id, description=code_revision()
                )
            found = str(uploaded.pipeline_version_id)
        except (Conflict, Unavailable):  # another upload was first, or the answer was lost
            if not (found := _version_id(connection, pipeline_id, version)):
                raise
    return PipelineVersion(name, version, pipeline_id, found)


def version_name(file: Path) -> str:
    """Name of the version of a compiled file: the package's version and the file's hash, in letters that Kubernetes allows."""
    package = re.sub("[^a-z0-9]+", "-", importlib.metadata.version("glocal").lower()).strip("-")
    return f"v{package}-{sha256_file(file)[:12]}"


def named(name: str) -> str:
    """Kubeflow's filter for what has a name for people."""
    return json.dumps({"predicates": [{"operation": _EQUALS, "key": "display_name", "stringValue": name}]})


def _pipeline_id(connection: Connection, name: str) -> str:
    with connection.asking("for a pipeline"):
        found = connection.client.list_pipelines(namespace=connection.namespace, filter=named(name)).pipelines
    return str(found[0].pipeline_id) if found else ""


def _made(connection: Connection, name: str) -> str:
    """Make a pipeline without a version. KFP's `upload_pipeline` would name the first version after the pipeline."""
    client = connection.client
    given = client.api_models.V2beta1Pipeline(display_name=name, name=name, namespace=connection.namespace)
    try:
        with connection.asking("to make a pipeline"):
            return str(client.pipelines.pipeline_service_create_pipeline(given).pipeline_id)
    except (Conflict, Unavailable):
        if not (found := _pipeline_id(connection, name)):
            raise
        return found


def _version_id(connection: Connection, pipeline_id: str, name: str) -> str:
    with connection.asking("for a version of a pipeline"):
        found = connection.client.list_pipeline_versions(pipeline_id, filter=named(name)).pipeline_versions
    return str(found[0].pipeline_version_id) if found else ""

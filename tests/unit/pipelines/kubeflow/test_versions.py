"""Versions of pipelines in Kubeflow."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from model.cluster import Kubeflow
from model.errors import Unavailable
from pipelines.compiled import compile_pipeline
from pipelines.kubeflow.connection import Connection
from pipelines.kubeflow.versions import upload, version_name
from tests.support.kubeflow import kubeflow, refused

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return compile_pipeline(tmp_path_factory.mktemp("compiled") / "pipeline.yaml")


@pytest.fixture
def server():
    with kubeflow() as state:
        yield state


def connect(server):
    return Connection(Kubeflow(kubeflow_host=server.host))


def test_the_same_file_is_one_version_of_one_pipeline_however_often_it_is_uploaded(server, compiled):
    first, second = upload(connect(server), compiled, "training"), upload(connect(server), compiled, "training")
    assert first == second
    assert [each.display_name for each in server.pipelines.values()] == ["glocal-training"]
    (version,) = server.versions.values()
    assert version.name == first.name == version_name(compiled)
    assert version.pipeline_spec["platform_spec"]["platforms"]["kubernetes"]


def test_another_file_is_another_version(server, compiled, tmp_path):
    upload(connect(server), compiled, "training")
    other = tmp_path / "other.yaml"
    other.write_text("# changed\n" + compiled.read_text())
    upload(connect(server), other, "training")
    assert len(server.pipelines) == 1
    assert len(server.versions) == 2


def test_uploads_at_once_make_one_version(server, compiled):
    connections = [connect(server) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda each: upload(each, compiled, "training"), connections))
    assert len(set(found)) == 1
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_a_lost_answer_makes_no_second_version(server, compiled):
    server.lost += ["/pipelines", "/upload_version"]
    assert upload(connect(server), compiled, "training").version_id in server.versions
    assert server.lost == []
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_a_server_that_takes_nothing_is_unavailable(server, compiled):
    connection = connect(server)
    server.faults += [lambda _: refused(503, "the database is away")] * 9
    with pytest.raises(Unavailable, match="the database is away"):
        upload(connection, compiled, "training")

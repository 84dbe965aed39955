"""The OpenAPI document is true: generated requests find no fault, and its examples run."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis import openapi
from starlette.testclient import TestClient

from model.files import write_json
from model.home import Home
from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold
from serving.backends.port import Served
from serving.engine.engine import Engine
from serving.gateway.app import Models, make_app
from serving.gateway.keys import KeyFile, Scope, create_key
from serving.operations import OPERATIONS
from tests.support.releases import make_parts, reseal

EXAMPLES, FEW = 400, 20
"""Requests of each operation, and of each address that names a model or a state: over 2,000 together."""


class InProcess:
    """A backend that asks an engine in this process."""

    def __init__(self, engine):
        self.engine = engine

    async def ask(self, served, queries):
        return self.engine.answers(queries)

    async def ready(self, served):
        return True


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The application, and the header that opens it."""
    folder = tmp_path_factory.mktemp("openapi")
    parts = make_parts(folder / "parts")
    calibration = Calibration(
        verify={"0.01": VerifyThreshold(threshold=0.9, true_accept_rate=1)}, identify={"0.01": IdentifyThreshold(threshold=0.9)}
    )
    write_json(parts / "calibration.json", calibration.model_dump())
    release = reseal(parts, folder / "release")
    home = Home(folder).serve
    _, secret = create_key(home, "tests", [Scope.CALLER])
    served = {"mugs": Served("mugs", "1", release.id, release.embedding_space_id)}
    app = make_app(Models(InProcess(Engine(release.folder, version="1")), lambda: served), KeyFile(home.keys))
    return app, {"Authorization": f"Bearer {secret}"}


@pytest.mark.slow
def test_no_generated_request_finds_a_fault_of_the_server(gateway):
    app, key = gateway
    sent = Counter()
    for found in openapi.from_asgi("/v1/openapi.json", app, headers=key).get_all_operations():
        examples = EXAMPLES if found.ok().path.removeprefix("/v1/") in OPERATIONS else FEW

        @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=found.ok().as_strategy())
        def ask(case):
            answer = case.call(headers=key)
            sent[answer.status_code] += 1
            assert answer.status_code < 500, answer.text

        ask()
    assert sent.total() >= 2000
    assert sent[200] > 0


def test_the_examples_of_the_document_run(gateway):
    app, key = gateway
    with TestClient(app, headers=key) as client:
        document = client.get("/v1/openapi.json").json()
        for name in set(OPERATIONS) - {"detect"}:  # this release has no objects
            asked = document["paths"][f"/v1/{name}"]["post"]
            answer = client.post(f"/v1/{name}", json=asked["requestBody"]["content"]["application/json"]["example"])
            assert answer.status_code == 200, answer.text
            OPERATIONS[name].answer.model_validate(answer.json())
            assert set(OPERATIONS[name].options.model_fields) == {each["name"] for each in asked["parameters"]}


def test_the_page_names_every_operation_and_loads_nothing_from_elsewhere(gateway):
    with TestClient(gateway[0]) as client:
        answer = client.get("/docs")
    assert answer.status_code == 200
    assert all(f"<h2>{name}</h2>" in answer.text and f"http://testserver/v1/{name}" in answer.text for name in OPERATIONS)
    assert "//" not in answer.text.replace("http://testserver/", "")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
